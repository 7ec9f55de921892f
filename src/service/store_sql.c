/*
 * NAME store_sql - one SQLite connection: statements, bindings, interned words, rows to deliveries.
 * What the tables are is told at the head of store.c. Statements are prepared at their first use and kept.
 * DIAGNOSTICS where = the file's path; texts hold SQLite's and errno's words, never a value from a row.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_db.h"
#include "text.h"
#include "xmem.h"

static const char *const sql[STORE_STMTS] = {
    [ST_BEGIN] = "BEGIN IMMEDIATE",
    [ST_COMMIT] = "COMMIT",
    [ST_ROLLBACK] = "ROLLBACK",
    [ST_PUT_MESSAGE] = "INSERT INTO message(id,channel,state,received_us,dup_key,sha256,control_id,kind,peer,reason,raw_n,observations,warnings,config)"
                       " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14)",
    [ST_PUT_RAW] = "INSERT INTO raw(message,bytes) VALUES(?1,?2)",
    [ST_FIND_DUPLICATE] = "SELECT id,state,sha256 FROM message WHERE dup_key=?1 AND received_us>=?2"
                          " UNION ALL SELECT message,state,sha256 FROM hash WHERE dup_key=?1 AND received_us>=?2 ORDER BY 1 DESC",
    [ST_COUNT_KEY] = "SELECT (SELECT count(*) FROM message WHERE dup_key=?1 AND received_us>=?2 AND state=?3)"
                     " + (SELECT count(*) FROM hash WHERE dup_key=?1 AND received_us>=?2 AND state=?3)",
    [ST_PUT_DELIVERY] = "INSERT INTO delivery(id,message,record,observation,parts,path,route,config,writer,lane,key8,key,issued_us,rank,state,step,tries,"
                        "next_us,reason,person_id,person_type,remote_id,updated_us,flags)"
                        " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23,?24)",
    [ST_PUT_TEXT] = "INSERT INTO delivery_text(id,who,body,detail) VALUES(?1,?2,?3,?4)",
    [ST_UPDATE_DELIVERY] = "UPDATE delivery SET message=?2,record=?3,observation=?4,parts=?5,path=?6,route=?7,config=?8,writer=?9,lane=?10,key8=?11,key=?12,"
                           "issued_us=?13,rank=?14,state=?15,step=?16,tries=?17,next_us=?18,reason=?19,person_id=?20,person_type=?21,remote_id=?22,"
                           "updated_us=?23,flags=?24 WHERE id=?1",
    [ST_UPDATE_TEXT] = "INSERT INTO delivery_text(id,who,body,detail) VALUES(?1,?2,?3,?4) ON CONFLICT(id) DO UPDATE SET"
                       " who=excluded.who,body=excluded.body,detail=excluded.detail"
                       " WHERE who IS NOT excluded.who OR body IS NOT excluded.body OR detail IS NOT excluded.detail",
    [ST_GET_STATE] = "SELECT state FROM delivery WHERE id=?1",
    [ST_GET_DELIVERY] = "SELECT " DELIVERY_COLUMNS DELIVERY_FROM "WHERE d.id=?1",
    [ST_FIND_OPEN] = "SELECT " DELIVERY_COLUMNS DELIVERY_FROM "WHERE d.key8=?1 AND d.state<4 AND d.key=?2 ORDER BY d.id",
    [ST_OPEN_KEYS] = "SELECT key8 FROM delivery WHERE state<4 AND key8 IS NOT NULL",
    [ST_FIND_DUE] = "SELECT " DELIVERY_COLUMNS DELIVERY_FROM
                    "WHERE d.writer=?1 AND d.next_us<=?2 AND d.state<3 AND d.state<>1 AND d.lane NOT IN(?4,?5,?6,?7,?8,?9,?10,?11)"
                    " ORDER BY d.next_us,d.id LIMIT ?3",
    [ST_NEXT_HELD] = "SELECT writer,reason FROM delivery INDEXED BY delivery_held WHERE state=3 AND (writer,reason)>(?1,?2) ORDER BY writer,reason LIMIT 1",
    [ST_FIND_HELD] = "SELECT " DELIVERY_COLUMNS " FROM delivery d INDEXED BY delivery_held LEFT JOIN delivery_text t ON t.id=d.id "
                     "WHERE d.writer=?1 AND d.reason=?2 AND d.state=3 AND d.id>?3 ORDER BY d.id LIMIT ?4",
    [ST_REWIND_DUE] = "UPDATE delivery SET next_us=CASE state WHEN 0 THEN ?2 ELSE ?4 END"
                      " WHERE writer=?1 AND state<3 AND next_us>CASE state WHEN 0 THEN ?2 ELSE ?3 END AND next_us>?2 AND state<>1",
    [ST_NEXT_DUE] = "SELECT next_us FROM delivery WHERE writer=?1 AND state<3 AND state<>1 ORDER BY next_us LIMIT 1",
    [ST_ACCOUNT] = "INSERT INTO account(message,fate,reason,n) VALUES(?1,?2,?3,?4) ON CONFLICT DO UPDATE SET n=n+excluded.n",
    [ST_COUNT] = "INSERT INTO counter(channel,what,n) VALUES(?1,?2,?3) ON CONFLICT DO UPDATE SET n=n+excluded.n",
    [ST_GET_TARGET] = "SELECT id,remote_id,person_id,person_type,body,issued_us,written_us,delivery,rank,tombstone FROM target WHERE key8=?1 AND key=?2",
    [ST_FIND_TARGET] = "SELECT id,remote_id,person_id,person_type,body,issued_us,written_us,delivery,rank,tombstone,key FROM target"
                       " WHERE key8 BETWEEN ?1 AND ?2 AND person_id=?3 AND tombstone=0 LIMIT 1",
    [ST_ADD_TARGET] = "INSERT INTO target(key8,key,remote_id,person_id,person_type,body,issued_us,written_us,delivery,rank,tombstone)"
                      " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)",
    [ST_UPDATE_TARGET] = "UPDATE target SET remote_id=?3,person_id=?4,person_type=?5,body=?6,issued_us=?7,written_us=?8,delivery=?9,rank=?10,tombstone=?11"
                         " WHERE key8=?1 AND key=?2",
    [ST_MIRROR_GET_PERSON] = "SELECT updated,db_updated,hash,put_us FROM mirror_person WHERE writer=?1 AND id=?2",
    [ST_MIRROR_GET_LAB] = "SELECT updated,db_updated,hash,put_us FROM mirror_lab WHERE writer=?1 AND id=?2",
    [ST_MIRROR_PUT_PERSON] = "INSERT INTO mirror_person(writer,id,updated,db_updated,hash,put_us,row) VALUES(?1,?2,?3,?4,?5,?6,?7) ON CONFLICT DO UPDATE SET"
                             " updated=excluded.updated,db_updated=excluded.db_updated,hash=excluded.hash,put_us=excluded.put_us,row=excluded.row",
    [ST_MIRROR_PUT_LAB] = "INSERT INTO mirror_lab(writer,id,updated,db_updated,hash,put_us,row,person,sample,k) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)"
                          " ON CONFLICT DO UPDATE SET updated=excluded.updated,db_updated=excluded.db_updated,hash=excluded.hash,put_us=excluded.put_us,"
                          "row=excluded.row,person=excluded.person,sample=excluded.sample,k=excluded.k",
    [ST_MIRROR_DROP_PERSON] = "DELETE FROM mirror_person WHERE writer=?1 AND id=?2",
    [ST_MIRROR_DROP_LAB] = "DELETE FROM mirror_lab WHERE writer=?1 AND id=?2",
    [ST_MIRROR_COUNT_PEOPLE] = "SELECT count(*) FROM mirror_person WHERE writer=?1",
    [ST_MIRROR_COUNT_LABS] = "SELECT count(*) FROM mirror_lab INDEXED BY mirror_lab_person WHERE writer=?1",
    [ST_MIRROR_STALE_PEOPLE] = "SELECT id FROM mirror_person WHERE writer=?1 AND id>?2 AND (?3 IS NULL OR id<=?3) AND put_us<?4 ORDER BY id LIMIT ?5",
    [ST_MIRROR_STALE_LABS] = "SELECT id FROM mirror_lab WHERE writer=?1 AND id>?2 AND (?3 IS NULL OR id<=?3) AND put_us<?4 ORDER BY id LIMIT ?5",
    [ST_MIRROR_ALL_PEOPLE] = "SELECT id,row FROM mirror_person WHERE writer=?1",
    [ST_MIRROR_LABS_OF_PERSON] = "SELECT id,row,person,sample,k FROM mirror_lab INDEXED BY mirror_lab_person WHERE writer=?1 AND person=?2",
    [ST_MIRROR_LABS_OF_SAMPLE] = "SELECT id,row,person,sample,k FROM mirror_lab INDEXED BY mirror_lab_sample WHERE writer=?1 AND sample=?2 AND sample<>''",
    [ST_MIRROR_LABS_OF_K] = "SELECT id,row,person,sample,k FROM mirror_lab INDEXED BY mirror_lab_k WHERE writer=?1 AND k=?2 AND k<>''",
    [ST_MIRROR_LAB] = "SELECT id,row,person,sample,k FROM mirror_lab WHERE writer=?1 AND id=?2",
    [ST_MIRROR_GET_PLACE] = "SELECT is_loaded,is_sweeping,swept_us,top_ms,floor_ms,at,owner FROM mirror_place WHERE writer=?1 AND list=?2",
    [ST_MIRROR_PUT_PLACE] = "INSERT INTO mirror_place(writer,list,is_loaded,is_sweeping,swept_us,top_ms,floor_ms,at,owner) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)"
                            " ON CONFLICT DO UPDATE SET is_loaded=excluded.is_loaded,is_sweeping=excluded.is_sweeping,swept_us=excluded.swept_us,"
                            "top_ms=excluded.top_ms,floor_ms=excluded.floor_ms,at=excluded.at,owner=excluded.owner",
    [ST_MIRROR_CLEAR_PEOPLE] = "DELETE FROM mirror_person WHERE writer=?1",
    [ST_MIRROR_CLEAR_LABS] = "DELETE FROM mirror_lab WHERE writer=?1",
    [ST_MIRROR_CLEAR_PLACES] = "DELETE FROM mirror_place WHERE writer=?1",
    [ST_PUT_FRAGMENT] = "INSERT INTO fragment(message,first,channel,key,us) VALUES(?1,?2,?3,?4,?5)",
    [ST_FIND_FRAGMENT] = "SELECT first,channel FROM fragment f WHERE key=?1 AND message=(SELECT max(message) FROM fragment WHERE first=f.first)"
                         " ORDER BY message DESC LIMIT 1",
    [ST_OLD_FRAGMENT] = "SELECT first,channel FROM fragment GROUP BY first HAVING max(us)<?1 LIMIT 1",
    [ST_FRAGMENTS_OF] = "SELECT message FROM fragment WHERE first=?1 ORDER BY message",
    [ST_DELAY_FRAGMENTS] = "UPDATE fragment SET us=?2 WHERE first=?1",
    [ST_DROP_FRAGMENTS] = "DELETE FROM fragment WHERE first=?1",
    [ST_PUT_ALIAS] = "INSERT INTO alias(writer,old,now,message,us) VALUES(?1,?2,?3,?4,?5) ON CONFLICT(writer,old) DO UPDATE SET now=?3,message=?4,us=?5",
    [ST_GET_ALIAS] = "SELECT now FROM alias WHERE writer=?1 AND old=?2",
    [ST_AUDIT] = "INSERT INTO audit(id,us,who,action,delivery,message,reason,hash) VALUES(?1,?2,?3,?4,?5,?6,?7,?8)",
    [ST_GET_MEMORY] = "SELECT value FROM memory WHERE owner=?1 AND key=?2",
    [ST_PUT_MEMORY] = "INSERT INTO memory(owner,key,value) VALUES(?1,?2,?3) ON CONFLICT DO UPDATE SET value=excluded.value",
    [ST_FIND_CONFIG_TEXT] = "SELECT id FROM config_text WHERE sha256=?1",
    [ST_PUT_CONFIG_TEXT] = "INSERT INTO config_text(sha256,n) VALUES(?1,?2)",
    [ST_KEPT_CONFIG_TEXT] = "SELECT coalesce(sum(length(bytes)),0) FROM config_piece WHERE text=?1",
    [ST_PUT_CONFIG_PIECE] = "INSERT INTO config_piece(text,place,bytes) VALUES(?1,?2,?3)",
    [ST_PRUNE_CONFIG_PIECES] = "DELETE FROM config_piece WHERE text NOT IN (SELECT id FROM config_text)",
    [ST_COUNT_CONFIG_FILES] = "SELECT count(*) FROM config_file WHERE config=?1",
    [ST_PUT_CONFIG_FILE] = "INSERT INTO config_file(config,place,path,text) VALUES(?1,?2,?3,?4)",
    [ST_PUT_CONFIG_RUN] = "INSERT INTO config_run(us,config,how,who) VALUES(?1,?2,?3,?4)",
    [ST_LAST_CONFIG] = "SELECT config FROM config_run WHERE config<>?1 ORDER BY id DESC LIMIT 1",
    [ST_PRUNE_CONFIG_RUNS] = "DELETE FROM config_run WHERE id<=(SELECT max(id) FROM config_run)-?1",
    [ST_PRUNE_CONFIG_FILES] = "DELETE FROM config_file WHERE config NOT IN (SELECT config FROM config_run GROUP BY config ORDER BY max(id) DESC LIMIT ?1)",
    [ST_PRUNE_CONFIG_TEXTS] = "DELETE FROM config_text WHERE id NOT IN (SELECT text FROM config_file)",
    [ST_LIST_CONFIG_RUNS] = "SELECT r.config,r.us,c.hash,r.how,r.who,EXISTS(SELECT 1 FROM config_file f WHERE f.config=r.config)"
                            " FROM config_run r JOIN config c ON c.id=r.config ORDER BY r.id DESC",
    [ST_LOAD_CONFIG] = "SELECT f.place,f.path,p.bytes FROM config_file f LEFT JOIN config_piece p ON p.text=f.text WHERE f.config=?1 ORDER BY f.place,p.place",
    [ST_GET_CONFIG] = "SELECT id FROM config WHERE hash=?1",
    [ST_PUT_CONFIG] = "INSERT INTO config(hash) VALUES(?1)",
    [ST_PUT_WORD] = "INSERT INTO word(text) VALUES(?1)",
    [ST_GET_WORD] = "SELECT text FROM word WHERE id=?1",
    [ST_FIND_WORD] = "SELECT id FROM word WHERE text=?1",
    [ST_GET_META] = "SELECT value FROM meta WHERE name=?1",
    [ST_PUT_META] = "INSERT INTO meta(name,value) VALUES(?1,?2) ON CONFLICT DO UPDATE SET value=excluded.value",
    [ST_RECOVER] = "UPDATE delivery SET state=2,step=CASE step WHEN 1 THEN 4 ELSE step END,next_us=CASE step WHEN 0 THEN ?1 ELSE ?1+?2 END,"
                   "updated_us=?1 WHERE state<3 AND state=1",
    [ST_EXPIRE_SCAN] = "SELECT id,received_us FROM message WHERE id>?1 ORDER BY id LIMIT ?2",
    [ST_EXPIRE_BUSY] = "SELECT 1 FROM delivery WHERE message=?1 AND (state<4 OR updated_us>=?2)"
                        " UNION ALL SELECT 1 FROM fragment WHERE message=?1 LIMIT 1",
    [ST_SEAL_MESSAGE] = "INSERT INTO sealed(sum,a,b,n) SELECT 3,state,0,1 FROM message WHERE id=?1 ON CONFLICT DO UPDATE SET n=n+excluded.n",
    [ST_SEAL_OBSERVATIONS] = "INSERT INTO sealed(sum,a,b,n) SELECT 3,state,1,observations FROM message WHERE id=?1 ON CONFLICT DO UPDATE SET n=n+excluded.n",
    [ST_SEAL_DELIVERIES] = "INSERT INTO sealed(sum,a,b,n) SELECT 1,state,reason,sum(parts) FROM delivery WHERE message=?1 GROUP BY state,reason"
                           " ON CONFLICT DO UPDATE SET n=n+excluded.n",
    [ST_SEAL_ACCOUNTS] = "INSERT INTO sealed(sum,a,b,n) SELECT 2,fate,reason,n FROM account WHERE message=?1 ON CONFLICT DO UPDATE SET n=n+excluded.n",
    [ST_KEEP_HASH] = "INSERT INTO hash(dup_key,message,sha256,received_us,state) SELECT dup_key,id,sha256,received_us,state FROM message"
                     " WHERE id=?1 AND received_us>=?2",
    [ST_DROP_HASHES] = "DELETE FROM hash WHERE rowid IN (SELECT rowid FROM hash WHERE received_us<?1 ORDER BY received_us LIMIT ?2)",
    [ST_ERASE_TEXT] = "DELETE FROM delivery_text WHERE id IN (SELECT id FROM delivery WHERE message=?1)",
    [ST_ERASE_DELIVERIES] = "DELETE FROM delivery WHERE message=?1",
    [ST_ERASE_ACCOUNTS] = "DELETE FROM account WHERE message=?1",
    [ST_ERASE_RAW] = "DELETE FROM raw WHERE message=?1",
    [ST_ERASE_MESSAGE] = "DELETE FROM message WHERE id=?1",
    [ST_VACUUM] = "PRAGMA incremental_vacuum(2000)",
    [ST_LOAD_MESSAGE] = "SELECT id,received_us,config,channel,control_id,kind,peer,reason,state,observations,raw_n FROM message WHERE id=?1",
    [ST_LOAD_RAW] = "SELECT bytes FROM raw WHERE message=?1",
    [ST_DELIVERIES_OF] = "SELECT " DELIVERY_COLUMNS DELIVERY_FROM "WHERE d.message=?1 ORDER BY d.id",
    [ST_LIST_DELIVERIES] = "SELECT " DELIVERY_COLUMNS DELIVERY_FROM
                           "WHERE d.id>?1 AND (?2<0 OR d.state=?2) AND (?3<0 OR d.writer=?3) AND (?4<0 OR d.reason=?4)"
                           " AND (?5<0 OR (SELECT m.channel FROM message m WHERE m.id=d.message)=?5) ORDER BY d.id LIMIT ?6",
    /* The ids first: what is sorted is small, and of held ones writer and reason stand in the index. */
    [ST_LIST_DUE] = "SELECT " DELIVERY_COLUMNS " FROM (SELECT d.id AS i FROM delivery d INDEXED BY delivery_due WHERE d.state<3 AND d.state=?2 AND d.id>?1"
                    " AND (?3<0 OR d.writer=?3) AND (?4<0 OR d.reason=?4) AND (?5<0 OR (SELECT m.channel FROM message m WHERE m.id=d.message)=?5)"
                    " ORDER BY d.id LIMIT ?6) JOIN delivery d ON d.id=i LEFT JOIN delivery_text t ON t.id=d.id ORDER BY d.id",
    [ST_LIST_HELD] = "SELECT " DELIVERY_COLUMNS " FROM (SELECT d.id AS i FROM delivery d INDEXED BY delivery_held WHERE d.state=3 AND d.id>?1"
                     " AND (?3<0 OR d.writer=?3) AND (?4<0 OR d.reason=?4) AND (?5<0 OR (SELECT m.channel FROM message m WHERE m.id=d.message)=?5)"
                     " ORDER BY d.id LIMIT ?6) JOIN delivery d ON d.id=i LEFT JOIN delivery_text t ON t.id=d.id ORDER BY d.id",
    [ST_SPAN_DUE] = "SELECT count(*),min(id) FROM (SELECT id FROM delivery INDEXED BY delivery_due WHERE state<3 LIMIT ?1)",
    [ST_SPAN_HELD] = "SELECT count(*),min(id) FROM (SELECT id FROM delivery INDEXED BY delivery_held WHERE state=3 LIMIT ?1)",
    [ST_LIST_MESSAGES] = "SELECT id,received_us,config,channel,control_id,kind,peer,reason,state,observations,raw_n FROM message"
                         " WHERE id>?1 AND (?2<0 OR state=?2) AND (?3<0 OR channel=?3) AND (?4='' OR reason=?4) ORDER BY id LIMIT ?5",
    [ST_SUM_FRAMES] = "SELECT channel,what,n FROM counter ORDER BY 1,2",
    [ST_SUM_DELIVERIES] = "SELECT a,b,sum(n) FROM (SELECT state AS a,reason AS b,parts AS n FROM delivery"
                          " UNION ALL SELECT a,b,n FROM sealed WHERE sum=1) GROUP BY 1,2 ORDER BY 1,2",
    [ST_SUM_ACCOUNTS] = "SELECT a,b,sum(n) FROM (SELECT fate AS a,reason AS b,n FROM account UNION ALL SELECT a,b,n FROM sealed WHERE sum=2) GROUP BY 1,2 ORDER BY 1,2",
    [ST_SUM_MESSAGES] = "SELECT a,sum(m),sum(o) FROM (SELECT state AS a,1 AS m,observations AS o FROM message UNION ALL"
                        " SELECT a,CASE b WHEN 0 THEN n ELSE 0 END,CASE b WHEN 1 THEN n ELSE 0 END FROM sealed WHERE sum=3) GROUP BY 1 ORDER BY 1",
    [ST_ACCOUNTED] = "SELECT (SELECT total(parts) FROM delivery WHERE message=?1)+(SELECT total(n) FROM account WHERE message=?1)",
    [ST_LIST_ACCOUNTS] = "SELECT fate,reason,n FROM account WHERE message=?1 ORDER BY fate,reason",
    [ST_LIST_AUDIT] = "SELECT us,who,action,reason FROM audit WHERE delivery=?1 AND delivery<>0 ORDER BY id",
    [ST_PUT_TRAIL] = "INSERT INTO trail(last,first,bits) VALUES(?1,?2,?3)",
    [ST_DROP_TRAIL] = "DELETE FROM trail WHERE last<(SELECT coalesce(min(id),?1) FROM message)",
    [ST_LIST_TRAIL] = "SELECT last,first,bits FROM trail ORDER BY last",
    [ST_TRAIL_MESSAGES] = "SELECT control_id FROM message WHERE id>=?1",
    [ST_TRAIL_DELIVERIES] = "SELECT t.who,d.key FROM delivery d LEFT JOIN delivery_text t ON t.id=d.id WHERE d.message>=?1",
    [ST_TRACE_MESSAGES] = "SELECT id FROM message WHERE id BETWEEN ?1 AND ?2 AND control_id=?3",
    [ST_TRACE_DELIVERIES] = "SELECT d.message FROM delivery d LEFT JOIN delivery_text t ON t.id=d.id WHERE d.message BETWEEN ?1 AND ?2"
                            " AND ((?3 AND d.key8 BETWEEN ?4 AND ?5) OR instr(t.who,?6)>0)",
    [ST_IS_FRAGMENT] = "SELECT 1 FROM fragment WHERE message=?1",
    [ST_ERASE_PERSON_TARGETS] = "DELETE FROM target WHERE person_id=?1 AND tombstone=0"
                                " AND NOT EXISTS (SELECT 1 FROM delivery o WHERE o.key8=target.key8 AND o.state<4)",
    [ST_ERASE_PERSON_MIRROR] = "DELETE FROM mirror_person WHERE id=?1",
    [ST_ERASE_PERSON_LABS] = "DELETE FROM mirror_lab WHERE person=?1",
    [ST_SCAN_RAW] = "SELECT r.message,m.received_us FROM raw r JOIN message m ON m.id=r.message WHERE r.message>?1 ORDER BY r.message LIMIT ?2",
    [ST_SCAN_TARGETS] = "SELECT id,written_us FROM target WHERE id>?1 ORDER BY id LIMIT ?2",
    [ST_ERASE_TARGETS] = "DELETE FROM target WHERE key8 IN (SELECT key8 FROM delivery WHERE message=?1 AND key8 IS NOT NULL) AND tombstone=0"
                         " AND delivery IN (SELECT id FROM delivery WHERE message=?1)"
                         " AND NOT EXISTS (SELECT 1 FROM delivery o WHERE o.key8=target.key8 AND o.state<4)",
    [ST_ERASE_TARGET] = "DELETE FROM target WHERE id=?1 AND tombstone=0 AND NOT EXISTS (SELECT 1 FROM delivery o WHERE o.key8=target.key8 AND o.state<4)",
    [ST_WIDEN_TRAIL] = "UPDATE trail SET bits=x'' WHERE last>=?1 AND first<=?1 AND bits<>x''",
    [ST_WALK_MESSAGES] = "SELECT m.id,m.received_us,m.config,m.channel,m.control_id,m.kind,m.peer,m.reason,m.state,m.observations,m.raw_n,r.bytes"
                         " FROM message m LEFT JOIN raw r ON r.message=m.id WHERE m.id>?1 AND m.id<=?2 AND m.received_us>=?3 AND m.received_us<?4"
                         " AND (?5<0 OR m.channel=?5) ORDER BY m.id LIMIT ?6",
    [ST_WALK_DELIVERIES] = "SELECT " DELIVERY_COLUMNS DELIVERY_FROM "WHERE d.message BETWEEN ?1 AND ?2 ORDER BY d.message,d.id",
    [ST_PUT_CHANNEL] = "INSERT INTO channel(name,last_us,day,today) VALUES(?1,?2,?3,?4) ON CONFLICT DO UPDATE SET last_us=?2,day=?3,today=?4",
    [ST_LIST_CHANNELS] = "SELECT name,last_us,day,today FROM channel ORDER BY name",
    [ST_PUT_PAUSE] = "INSERT INTO pause(kind,name,us,who,why) VALUES(?1,?2,?3,?4,?5) ON CONFLICT DO UPDATE SET us=?3,who=?4,why=?5",
    [ST_DROP_PAUSE] = "DELETE FROM pause WHERE kind=?1 AND name=?2",
    [ST_LIST_PAUSES] = "SELECT kind,name,us,who,why FROM pause ORDER BY 1,2",
    [ST_PUT_ALARM] = "INSERT INTO alarm(kind,subject,raised_us,cleared_us,said_us,n,detail) VALUES(?1,?2,?3,?4,?5,?6,?7)"
                     " ON CONFLICT DO UPDATE SET raised_us=?3,cleared_us=?4,said_us=?5,n=?6,detail=?7",
    [ST_DROP_ALARM] = "DELETE FROM alarm WHERE kind=?1 AND subject=?2",
    [ST_LIST_ALARMS] = "SELECT kind,subject,raised_us,cleared_us,said_us,n,detail FROM alarm ORDER BY 1,2",
    [ST_QUEUE] = "SELECT q.w,q.s,q.r,q.n,(SELECT received_us FROM message WHERE id=q.m) FROM (SELECT writer AS w,state AS s,reason AS r,count(*) AS n,"
                 "min(message) AS m FROM delivery INDEXED BY delivery_open WHERE state<4 GROUP BY 1,2,3) q ORDER BY 1,2,3",
    [ST_QUEUE_LANES] = "SELECT q.w,q.lane,q.n,q.m,(SELECT received_us FROM message WHERE id=q.m) FROM (SELECT writer AS w,lane,count(*) AS n,"
                       "min(message) AS m FROM delivery INDEXED BY delivery_open WHERE state<4 AND state<>3 GROUP BY 1,2 ORDER BY 4 LIMIT ?1) q",
    [ST_OLDEST_DUE] = "SELECT (SELECT m.received_us FROM message m WHERE m.id=(SELECT message FROM delivery WHERE id=q.id)),q.n"
                      " FROM (SELECT min(id) AS id,count(*) AS n FROM delivery INDEXED BY delivery_due WHERE state<3 AND writer=?1) q",
    [ST_HELD] = "SELECT q.r,q.n,(SELECT m.received_us FROM message m WHERE m.id=(SELECT message FROM delivery WHERE id=q.id)) FROM (SELECT reason AS r,"
                "count(*) AS n,min(id) AS id FROM delivery INDEXED BY delivery_held WHERE state=3 AND writer=?1 GROUP BY reason) q",
    [ST_NEXT_MESSAGE] = "SELECT id,received_us FROM message WHERE id>=?1 ORDER BY id LIMIT 1",
    [ST_ALL_AUDIT] = "SELECT id,us,who,action,delivery,message,reason,hash FROM audit ORDER BY id",
};

/* errno of a failed write. A commit that fails does not tell it to the connection, only to the log's file. */
static int write_errno(const struct store_db *d)
{
    sqlite3_file *log = NULL;
    int no = 0;
    if (sqlite3_file_control(d->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) != SQLITE_OK || !log || !log->pMethods ||
        log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &no) != SQLITE_OK)
        return 0;
    return no;
}

int db_fail(const struct store_db *d, struct err *e, const char *what)
{
    int rc = sqlite3_extended_errcode(d->db), no = sqlite3_system_errno(d->db);
    if (rc == SQLITE_IOERR_WRITE && no == 0)
        no = write_errno(d);
    const char *path = d->path ? d->path : "";
    bool is_space = no == ENOSPC || no == EDQUOT || no == EFBIG;
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return err_set(e, ERR_TEMP, path, "%s: the disk is full; nothing was written", what);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(e, ERR_TEMP, path, "%s: the store is busy", what);
    case SQLITE_INTERRUPT:
        return err_set(e, ERR_TEMP, path, "%s: took too long; ask for less", what);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return err_set(e, ERR_CONFIG, path, "%s: the store file is damaged (%s): stop, keep the file and restore the last backup", what, sqlite3_errmsg(d->db));
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
        return err_set(e, ERR_CONFIG, path, "%s: cannot open or write the store (%s): check the path and the permissions of file and folder", what,
                       no ? strerror(no) : sqlite3_errmsg(d->db));
    case SQLITE_IOERR:
        if (is_space && (rc == SQLITE_IOERR_WRITE || rc == SQLITE_IOERR_SHMSIZE || rc == SQLITE_IOERR_TRUNCATE))
            return err_set(e, ERR_TEMP, path, "%s: the disk is full (%s); nothing was written", what, strerror(no));
        return err_set(e, ERR_BUG, path, "%s: the disk reports an error (%s, SQLite %d): labrelay stops; check the disk before starting again", what,
                       no ? strerror(no) : "input/output", rc);
    case SQLITE_NOMEM:
        (void)fputs("labrelay: out of memory in the store\n", stderr);
        abort();
    default:
        return err_set(e, ERR_BUG, path, "%s: %s (SQLite %d)", what, sqlite3_errmsg(d->db), rc);
    }
}

int db_open(struct store_db *d, const char *path, const char *name, int flags, struct err *e)
{
    *d = (struct store_db){.path = xstrdup(path)};
    if (sqlite3_open_v2(name, &d->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI | SQLITE_OPEN_EXRESCODE, NULL) != SQLITE_OK)
        return db_fail(d, e, "cannot open");
    (void)sqlite3_busy_timeout(d->db, 2000);
    (void)sqlite3_db_config(d->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(d->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return db_exec(d, "PRAGMA foreign_keys=OFF; PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY", "cannot set up", e);
}

void db_close(struct store_db *d)
{
    for (size_t i = 0; i < STORE_STMTS; i++)
        (void)sqlite3_finalize(d->stmt[i]);
    (void)sqlite3_close(d->db);
    word_forget(d);
    free(d->path);
    *d = (struct store_db){0};
}

int db_exec(struct store_db *d, const char *text, const char *what, struct err *e)
{
    return sqlite3_exec(d->db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : db_fail(d, e, what);
}

int db_int(struct store_db *d, const char *text, int64_t *out, struct err *e)
{
    sqlite3_stmt *s = NULL;
    int rc;
    *out = 0;
    if (sqlite3_prepare_v2(d->db, text, -1, &s, NULL) != SQLITE_OK)
        return db_fail(d, e, "cannot read");
    rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(s, 0);
    else if (rc != SQLITE_DONE) {
        (void)db_fail(d, e, "cannot read");
        (void)sqlite3_finalize(s);
        return -1;
    }
    (void)sqlite3_finalize(s);
    return 0;
}

sqlite3_stmt *db_stmt(struct store_db *d, enum store_stmt which, struct err *e)
{
    if (!d->stmt[which] && sqlite3_prepare_v3(d->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, &d->stmt[which], NULL) != SQLITE_OK) {
        (void)db_fail(d, e, "cannot prepare");
        return NULL;
    }
    (void)sqlite3_reset(d->stmt[which]);
    return d->stmt[which];
}

int db_run(struct store_db *d, sqlite3_stmt *s, const char *what, struct err *e)
{
    int rc = sqlite3_step(s);
    if (rc != SQLITE_DONE && rc != SQLITE_ROW) {
        (void)db_fail(d, e, what);
        (void)sqlite3_reset(s);
        return -1;
    }
    (void)sqlite3_reset(s);
    return 0;
}

int db_row(struct store_db *d, sqlite3_stmt *s, const char *what, struct err *e)
{
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        return 1;
    if (rc != SQLITE_DONE)
        (void)db_fail(d, e, what);
    (void)sqlite3_reset(s);
    return rc == SQLITE_DONE ? 0 : -1;
}

/* ---- bindings: they fail only without memory or for a wrong index, which is our bug ---- */

static void bound(int rc)
{
    assert(rc == SQLITE_OK);
    (void)rc;
}

void bind_int(sqlite3_stmt *s, int i, int64_t v)
{
    bound(sqlite3_bind_int64(s, i, v));
}

void bind_span(sqlite3_stmt *s, int i, struct span v)
{
    bound(sqlite3_bind_text64(s, i, v.n ? v.p : "", v.n, SQLITE_STATIC, SQLITE_UTF8));
}

void bind_text(sqlite3_stmt *s, int i, const char *v)
{
    bound(sqlite3_bind_text64(s, i, v ? v : "", v ? strlen(v) : 0, SQLITE_STATIC, SQLITE_UTF8));
}

void bind_blob(sqlite3_stmt *s, int i, const void *p, size_t n)
{
    bound(sqlite3_bind_blob64(s, i, n ? p : "", n, SQLITE_STATIC));
}

void bind_null(sqlite3_stmt *s, int i)
{
    bound(sqlite3_bind_null(s, i));
}

/* 1 + value of a lower-case hex digit, 0 for every other byte */
static const unsigned char hex_values[256] = {['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5, ['5'] = 6, ['6'] = 7, ['7'] = 8, ['8'] = 9,
                                              ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16};

/* true: key was 64 lower-case hex digits and bytes holds them */
static bool key_bytes(const char *key, unsigned char bytes[32])
{
    for (size_t i = 0; i < 32; i++) {
        unsigned high = hex_values[(unsigned char)key[2 * i]], low = high ? hex_values[(unsigned char)key[2 * i + 1]] : 0;
        if (low == 0)
            return false;
        bytes[i] = (unsigned char)((high - 1) * 16 + low - 1);
    }
    return key[64] == '\0';
}

void bind_key(sqlite3_stmt *s, int i, const char *key, unsigned char bytes[32])
{
    if (!key || !*key)
        bind_null(s, i);
    else if (key_bytes(key, bytes))
        bind_blob(s, i, bytes, 32);
    else
        bind_text(s, i, key);
}

int64_t key_number(const char *key)
{
    unsigned char bytes[32];
    uint64_t v = 0;
    if (!key_bytes(key, bytes))
        text_sha256(key, strlen(key), bytes);
    for (size_t i = 0; i < 8; i++)
        v = v << 8 | bytes[i];
    return (int64_t)v;
}

char *column_text(sqlite3_stmt *s, int i)
{
    const unsigned char *p = sqlite3_column_text(s, i);
    return xstrndup(p ? (const char *)p : "", (size_t)sqlite3_column_bytes(s, i));
}

char *column_key(sqlite3_stmt *s, int i)
{
    if (sqlite3_column_type(s, i) == SQLITE_BLOB && sqlite3_column_bytes(s, i) == 32) {
        char *hex = xmalloc(65);
        text_hex(sqlite3_column_blob(s, i), 32, hex);
        return hex;
    }
    return column_text(s, i);
}

/* ---- words ---- */

static size_t word_slot(const struct store_db *d, const char *text)
{
    uint64_t h = 1469598103934665603u;
    size_t i;
    for (const char *p = text; *p; p++)
        h = (h ^ (unsigned char)*p) * 1099511628211u;
    i = (size_t)h & (d->words_cap - 1);
    while (d->words[i].text && strcmp(d->words[i].text, text) != 0)
        i = (i + 1) & (d->words_cap - 1);
    return i;
}

static const char *word_keep(struct store_db *d, int64_t id, const char *text)
{
    if (2 * (d->words_n + 1) > d->words_cap) {
        struct store_word *old = d->words;
        size_t old_cap = d->words_cap;
        d->words_cap = old_cap ? 2 * old_cap : 64;
        d->words = xcalloc(d->words_cap, sizeof *d->words);
        for (size_t i = 0; i < old_cap; i++)
            if (old[i].text)
                d->words[word_slot(d, old[i].text)] = old[i];
        free(old);
    }
    size_t i = word_slot(d, text);
    if (!d->words[i].text) {
        d->words[i] = (struct store_word){id, xstrdup(text)};
        d->words_n++;
    }
    if ((size_t)id >= d->word_by_id_n) {
        size_t n = (size_t)id + 32;
        d->word_by_id = xreallocarray(d->word_by_id, n, sizeof *d->word_by_id);
        for (size_t k = d->word_by_id_n; k < n; k++)
            d->word_by_id[k] = NULL;
        d->word_by_id_n = n;
    }
    d->word_by_id[id] = d->words[i].text;
    return d->words[i].text;
}

void word_forget(struct store_db *d)
{
    for (size_t i = 0; i < d->words_cap; i++)
        free(d->words[i].text);
    free(d->words);
    free(d->word_by_id);
    d->words = NULL;
    d->word_by_id = NULL;
    d->words_n = d->words_cap = d->word_by_id_n = 0;
}

int word_find(struct store_db *d, const char *text, int64_t *id_out, struct err *e)
{
    sqlite3_stmt *s;
    int rc;
    *id_out = 0;
    if (!text || !*text)
        return 0;
    if (d->words_cap) {
        const struct store_word *w = &d->words[word_slot(d, text)];
        if (w->text) {
            *id_out = w->id;
            return 0;
        }
    }
    *id_out = -1;
    s = db_stmt(d, ST_FIND_WORD, e);
    if (!s)
        return -1;
    bind_text(s, 1, text);
    rc = db_row(d, s, "cannot read a word", e);
    if (rc == 1) {
        *id_out = sqlite3_column_int64(s, 0);
        (void)word_keep(d, *id_out, text);
        (void)sqlite3_reset(s);
    }
    return rc < 0 ? -1 : 0;
}

int word_put(struct store_db *d, const char *text, int64_t *id_out, struct err *e)
{
    sqlite3_stmt *s;
    if (word_find(d, text, id_out, e) != 0)
        return -1;
    if (*id_out >= 0)
        return 0;
    s = db_stmt(d, ST_PUT_WORD, e);
    if (!s)
        return -1;
    bind_text(s, 1, text);
    if (db_run(d, s, "cannot add a word", e) != 0)
        return -1;
    *id_out = sqlite3_last_insert_rowid(d->db);
    (void)word_keep(d, *id_out, text);
    return 0;
}

const char *word_get(struct store_db *d, int64_t id, struct err *e)
{
    sqlite3_stmt *s;
    int rc;
    if (id == 0)
        return "";
    if (id > 0 && (size_t)id < d->word_by_id_n && d->word_by_id[id])
        return d->word_by_id[id];
    s = db_stmt(d, ST_GET_WORD, e);
    if (!s)
        return NULL;
    bind_int(s, 1, id);
    rc = db_row(d, s, "cannot read a word", e);
    if (rc == 0)
        (void)err_set(e, ERR_CONFIG, d->path, "the store is damaged: word %lld is missing", (long long)id);
    if (rc != 1)
        return NULL;
    const unsigned char *p = sqlite3_column_text(s, 0);
    const char *kept = word_keep(d, id, p ? (const char *)p : "");
    (void)sqlite3_reset(s);
    return kept;
}

/* ---- deliveries ---- */

int delivery_from_row(struct store_db *d, sqlite3_stmt *s, struct delivery *out, struct err *e)
{
    const char *route = word_get(d, sqlite3_column_int64(s, 6), e), *writer = word_get(d, sqlite3_column_int64(s, 8), e);
    const char *reason = word_get(d, sqlite3_column_int64(s, 17), e), *type = word_get(d, sqlite3_column_int64(s, 19), e);
    *out = (struct delivery){0};
    if (!route || !writer || !reason || !type)
        return -1;
    *out = (struct delivery){
        .id = sqlite3_column_int64(s, 0), .message_id = sqlite3_column_int64(s, 1), .record_index = (unsigned)sqlite3_column_int64(s, 2),
        .observation_index = (unsigned)sqlite3_column_int64(s, 3), .parts = (unsigned)sqlite3_column_int64(s, 4), .path = column_text(s, 5),
        .route = xstrdup(route), .config = sqlite3_column_int64(s, 7), .writer = xstrdup(writer), .lane = column_text(s, 9),
        .result_key = column_key(s, 10), .issued_us = sqlite3_column_int64(s, 11), .rank = sqlite3_column_int(s, 12),
        .state = (enum delivery_state)sqlite3_column_int(s, 13), .step = (enum delivery_step)sqlite3_column_int(s, 14),
        .tries = sqlite3_column_int(s, 15), .next_us = sqlite3_column_int64(s, 16), .reason = xstrdup(reason), .person_id = column_text(s, 18),
        .person_type = xstrdup(type), .remote_id = column_text(s, 20), .updated_us = sqlite3_column_int64(s, 21), .who = column_text(s, 22),
        .body = column_text(s, 23), .detail = column_text(s, 24), .flags = (unsigned)sqlite3_column_int64(s, 25)};
    return 0;
}

int deliveries_from_rows(struct store_db *d, sqlite3_stmt *s, const char *what, struct delivery **v, size_t *n, struct err *e)
{
    size_t cap = 0;
    int rc;
    *v = NULL;
    *n = 0;
    while ((rc = db_row(d, s, what, e)) == 1) {
        if (*n == cap) {
            cap = cap ? 2 * cap : 8;
            *v = xreallocarray(*v, cap, sizeof **v);
        }
        if (delivery_from_row(d, s, &(*v)[*n], e) != 0) {
            (void)sqlite3_reset(s);
            rc = -1;
            break;
        }
        (*n)++;
    }
    if (rc == 0)
        return 0;
    deliveries_free(*v, *n);
    *v = NULL;
    *n = 0;
    return -1;
}

void deliveries_free(struct delivery *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        delivery_clear(&v[i]);
    free(v);
}

/* ---- audit ---- */

static void add_field(struct buf *b, const char *text)
{
    buf_add_int(b, (int64_t)strlen(text));
    buf_addc(b, ':');
    buf_adds(b, text);
}

void audit_link(const unsigned char previous[32], int64_t id, int64_t us, const char *who, const char *action, int64_t delivery_id,
                int64_t message_id, const char *reason, unsigned char out[32])
{
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_add(&b, previous, 32);
    buf_addf(&b, "%lld %lld %lld %lld ", (long long)id, (long long)us, (long long)delivery_id, (long long)message_id);
    add_field(&b, who);
    add_field(&b, action);
    add_field(&b, reason);
    text_sha256(b.p, b.n, out);
    buf_clear(&b);
}
