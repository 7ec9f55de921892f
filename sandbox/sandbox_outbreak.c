/*
 * NAME
 *   sandbox_outbreak - outbreaks and the few system routes: /status, version
 *
 *   Outbreaks are few: they stay in memory and are written through. A user sees those of its outbreakIds, or all.
 *
 * DIAGNOSTICS
 *   401 without the api-key on the version route, as since 2.50.3.
 */
#include <string.h>

#include "sandbox_date.h"
#include "sandbox_json.h"
#include "sandbox_server.h"

json_t *outbreak_create(struct sandbox *s, const json_t *given)
{
    char id[SANDBOX_ID_SIZE];
    json_t *now = sandbox_date_json(sandbox_now_ms());
    json_t *o = json_pack("{ssssso}", "name", "Ebola 2026", "disease", REFDATA("DISEASE_EBOLA_VIRUS_DISEASE"), "startDate", sandbox_date_json(1767225600000));
    sandbox_uuid(id);
    json_object_update_new(o, json_pack("{s[]sisisisi}", "countries", "longPeriodsBetweenCaseOnset", 20, "periodOfFollowup", 21,
        "frequencyOfFollowUp", 1, "frequencyOfFollowUpPerDay", 1));
    json_object_update_new(o, json_pack("{sbsbsssbsb}", "generateFollowUpsOverwriteExisting", 0, "generateFollowUpsKeepTeamAssignment", 1,
                                        "generateFollowUpsTeamAssignmentAlgorithm", REFDATA("FOLLOWUP_GENERATION_TEAM_ASSIGNMENT_ALGORITHM_ROUND_ROBIN_ALL_TEAMS"),
                                        "generateFollowUpsDateOfLastContact", 0, "generateFollowUpsWhenCreatingContacts", 0));
    json_object_update_new(o, json_pack("{sisisisisi}", "noDaysAmongContacts", 21, "noDaysInChains", 21, "noDaysNotSeen", 5, "noLessContacts", 1,
        "noDaysNewContacts", 1));
    json_object_update_new(o, json_pack("{s[]s[]s[]s[]s[]s[]}", "caseInvestigationTemplate", "contactInvestigationTemplate",
        "eventInvestigationTemplate", "caseFollowUpTemplate", "contactFollowUpTemplate", "labResultsTemplate"));
    for (int t = 0; t < PERSON_TYPES; t++)
        json_object_set_new(o, person_kinds[t].mask_field, json_string(person_kinds[t].mask_default));
    json_object_update_new(o, json_pack("{s[]sbsbsbsbsb}", "arcGisServers", "isContactLabResultsActive", 0, "isContactsOfContactsActive", 0,
        "applyGeographicRestrictions", 0, "checkLastContactDateAgainstDateOnSet", 0, "disableModifyingLegacyQuestionnaire", 0));
    json_object_update_new(o, json_pack("{sbsisbsssbsb}", "allowCasesFollowUp", 0, "frequencyOfFollowUpCases", 1, "generateFollowUpsKeepTeamAssignmentCases", 1,
                                        "generateFollowUpsTeamAssignmentAlgorithmCases", REFDATA("FOLLOWUP_GENERATION_TEAM_ASSIGNMENT_ALGORITHM_ROUND_ROBIN_ALL_TEAMS"),
                                        "generateFollowUpsDateOfOnset", 0, "generateFollowUpsWhenCreatingCases", 0));
    json_object_set_new(o, "id", json_string(id));
    json_object_update_new(o, json_pack("{sOsssOsssOsssb}", "createdAt", now, "createdBy", "system", "updatedAt", now, "updatedBy", "system",
        "dbUpdatedAt", now, "createdOn", "API", "deleted", 0));
    json_object_update(o, (json_t *)(uintptr_t)given);
    model_cast_date(o, "startDate");
    model_cast_date(o, "endDate");
    (void)sandbox_db_insert(s->db, RECORD_OUTBREAK, o);
    json_object_set_new(s->outbreaks, sandbox_json_get(o, "id"), o);
    json_decref(now);
    return o;
}

/* The outbreaks that the user may see and the filter matches. New array. */
static json_t *visible(struct sandbox_call *c, const struct sandbox_filter *f)
{
    json_t *out = json_array(), *o;
    const char *id;
    json_object_foreach(c->s->outbreaks, id, o)
        if (auth_user_sees(c->user, id) && sandbox_cond_match(f->where, o))
            json_array_append(out, o);
    return out;
}

void on_outbreaks_list(struct sandbox_call *c)
{
    struct sandbox_filter f;
    json_t *o;
    size_t i;
    if (call_filter(c, true, &f))
        return;
    json_t *found = visible(c, &f), *page = sandbox_filter_page(&f, found, "id"), *out = json_array();
    json_array_foreach(page, i, o)
        json_array_append_new(out, sandbox_filter_project(&f, o));
    call_reply_new(c, out);
    json_decref(page);
    json_decref(found);
    sandbox_filter_clear(&f);
}

void on_outbreaks_count(struct sandbox_call *c)
{
    struct sandbox_filter f;
    if (call_where(c, false, &f))
        return;
    json_t *found = visible(c, &f);
    call_reply_count(c, (int64_t)json_array_size(found));
    json_decref(found);
    sandbox_filter_clear(&f);
}

void on_outbreak_get(struct sandbox_call *c) { call_reply_json(c, 200, c->outbreak); }

void on_status(struct sandbox_call *c)
{
    call_reply_new(c, json_pack("{sosf}", "started", sandbox_date_json(c->s->started_ms), "uptime", (double)(sandbox_now_ms() - c->s->started_ms) / 1000.0));
}

void on_version(struct sandbox_call *c)
{
    if (!span_is(sandbox_request_header(c->req, "api-key"), SANDBOX_API_KEY)) {
        call_fail(c, 401, NULL, NULL, NULL, "Unauthorized: Invalid API Key");
        return;
    }
    json_t *v = json_pack("{sssssssssssIsb}", "platform", "-", "version", SANDBOX_VERSION, "build", "development", "arch", "x64", "timezone", "UTC", "tokenTTL",
                          (json_int_t)c->s->token_ttl_s, "skipOldPasswordForUserModify", 1);
    json_object_set_new(v, "captcha", json_pack("{sbsbsb}", "login", 0, "forgotPassword", 0, "resetPasswordQuestions", 0));
    json_object_set_new(v, "demoInstance", json_pack("{sbsss{sfssssssss}}", "enabled", 0, "label", "DEMO", "style", "opacity", 0.5, "backgroundColor",
        "gray", "color", "black", "fontWeight", "bold", "fontSize", "40px"));
    json_object_set_new(v, "duplicate", json_pack("{sbsbsbsb}", "disableCaseDuplicateCheck", 0, "disableContactDuplicateCheck", 0,
        "disableContactOfContactDuplicateCheck", 0, "executeCheckOnlyOnDuplicateDataChange", 0));
    call_reply_new(c, v);
}
