#!/usr/bin/env python3
"""What the sandbox promises beyond the recorded transcripts: the simulator checklist, faults on demand, counters, the clock.

LABRELAY  the program under test (default: ./labrelay)
"""
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

PROGRAM = os.environ.get("LABRELAY", "./labrelay")
O = "0b7ea000-0000-4000-8000-000000000001"
O2 = "0b7ea000-0000-4000-8000-000000000002"
RD = "LNG_REFERENCE_DATA_CATEGORY_"
JSON = {"Content-Type": "application/json", "Accept": "application/json"}
PASSWORD = "Practice-Passw0rd"

SEED = {
    "outbreaks": [
        {"id": O, "name": "Practice", "labResultsTemplate": [
            {"variable": "ct", "answerType": RD + "QUESTION_ANSWER_TYPE_NUMERIC"}, {"variable": "order", "answerType": RD + "QUESTION_ANSWER_TYPE_FREE_TEXT"}]},
        {"id": O2, "name": "Masks", "caseIdMask": "*", "contactIdMask": "CO-YYYY-9999"},
    ],
    "users": [
        {"email": "all@example.org", "password": PASSWORD, "activeOutbreakId": O, "permissions": ["*"]},
        {"email": "second@example.org", "password": PASSWORD, "activeOutbreakId": O2, "permissions": ["*"]},
        {"email": "groups@example.org", "password": PASSWORD, "activeOutbreakId": O, "outbreakIds": [O], "permissions": ["case_all", "user_modify_own_account"]},
        {"email": "locked@example.org", "password": PASSWORD, "activeOutbreakId": O, "permissions": ["*"]},
    ],
    "referenceData": [{"categoryId": RD + "LAB_NAME", "value": "District Lab 2", "code": "DL2"}],
    "locations": [{"id": "loc-1", "name": "Testville", "identifiers": [{"code": "TV01"}]}, {"id": "loc-2", "name": "Quarter", "parentLocationId": "loc-1"}],
    "cases": [{"id": "case-1", "visualId": "CA-0000000007", "firstName": "Ayana", "lastName": "Practice", "dob": "1990-05-04",
               "documents": [{"type": RD + "DOCUMENT_TYPE_OTHER", "number": "MRN-1"}]}],
    "contacts": [{"id": "contact-1", "firstName": "Biruk", "lastName": "Practice"}],
    "labResults": [{"personId": "case-1", "sampleIdentifier": "SEEDED"}],
}

CHECKS = []


def check(f):
    CHECKS.append(f)
    return f


class Server:
    def __init__(self, *options, seed=SEED):
        self.dir = tempfile.TemporaryDirectory(prefix="labrelay-sandbox-")
        path = os.path.join(self.dir.name, "seed.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(seed, f)
        self.process = subprocess.Popen([PROGRAM, "sandbox", "--seed", path, *options], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.port = int(re.match(r"sandbox listening on http://127\.0\.0\.1:(\d+)/api$", line.strip()).group(1))
        self.token = None

    def __enter__(self):
        self.token = self.login("all@example.org")[1]["id"]
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=10)
        self.process.stdout.close()
        self.dir.cleanup()
        assert code == 0, f"the sandbox ended with {code}"

    def raw(self, method, path, body=None, headers=None, timeout=20):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            c.request(method, path, body, headers or {})
            r = c.getresponse()
            return r.status, r.headers, r.read()
        finally:
            c.close()

    def call(self, method, path, body=None, token=None, **more):
        headers = dict(JSON, Authorization=token or self.token)
        headers.update(more.pop("headers", {}))
        status, _, data = self.raw(method, "/api" + path, None if body is None else json.dumps(body), headers, **more)
        return status, json.loads(data) if data else None

    def login(self, email, password=PASSWORD):
        status, _, data = self.raw("POST", "/api/users/login", json.dumps({"email": email, "password": password}), JSON)
        return status, json.loads(data)

    def control(self, path, body=None):
        status, _, data = self.raw("POST" if body is not None else "GET", "/sandbox/" + path, None if body is None else json.dumps(body), JSON)
        assert status in (200, 204), (path, status)
        return json.loads(data) if data else None

    def find(self, path, **filter_):
        status, found = self.call("GET", f"/outbreaks/{O}/{path}?filter=" + urllib.parse.quote(json.dumps(filter_)))
        assert status == 200, found
        return found

    def lab(self, body, person="cases/case-1", **more):
        return self.call("POST", f"/outbreaks/{O}/{person}/lab-results", body, **more)


def equal(actual, expected, what=""):
    assert actual == expected, f"{what}: {actual!r}, expected {expected!r}"


def code_of(answer):
    return answer["error"].get("code")


# ---- login, tokens, permissions ----

@check
def a_login_removes_the_older_token(s):
    first = s.login("second@example.org")[1]["id"]
    second = s.login("SECOND@example.org")[1]["id"]         # case does not matter here
    equal(s.call("GET", "/outbreaks", token=first)[0], 401)
    equal(s.call("GET", "/outbreaks", token=second)[0], 200)
    equal(s.raw("POST", "/api/oauth/token", "username=SECOND%40example.org&password=" + PASSWORD, {"Content-Type": "application/x-www-form-urlencoded"})[0], 401, "oauth minds case")
    status, _, data = s.raw("POST", "/api/oauth/token", "username=second%40example.org&password=" + PASSWORD, {"Content-Type": "application/x-www-form-urlencoded"})
    equal(status, 200)
    token = json.loads(data)["access_token"]
    equal(s.raw("GET", "/api/outbreaks", headers={"X-Access-Token": token})[0], 200)
    equal(s.raw("GET", "/api/outbreaks?access_token=" + token)[0], 200)
    equal(s.raw("GET", "/api/outbreaks", headers={"Authorization": "Bearer " + token})[0], 200)


@check
def a_token_slides_and_expires(s):
    with Server("--token-ttl", "100") as t:
        t.control("clock", {"advance": 60})
        equal(t.call("GET", "/outbreaks")[0], 200)          # older than 50 s: renewed
        t.control("clock", {"advance": 60})
        equal(t.call("GET", "/outbreaks")[0], 200)
        t.control("clock", {"advance": 100})
        equal(code_of(t.call("GET", "/outbreaks")[1]), "INVALID_TOKEN")
        equal(code_of(t.call("GET", "/outbreaks")[1]), "AUTHORIZATION_REQUIRED")


@check
def ten_wrong_passwords_lock_for_30_minutes(s):
    for _ in range(10):
        equal(code_of(s.login("locked@example.org", "wrong")[1]), "LOGIN_FAILED")
    equal(code_of(s.login("locked@example.org")[1]), "ACTION_TEMPORARILY_BLOCKED")
    s.control("clock", {"advance": 29 * 60})
    equal(s.login("locked@example.org")[0], 422)
    s.control("clock", {"advance": 61})
    equal(s.login("locked@example.org")[0], 200)
    s.token = s.login("all@example.org")[1]["id"]


@check
def permissions_and_the_active_outbreak(s):
    t = s.login("groups@example.org")[1]
    token = t["id"]
    equal(s.call("GET", f"/outbreaks/{O}/cases/count", token=token), (200, {"count": len(s.find("cases"))}), "case_all implies case_list")
    equal(code_of(s.call("GET", f"/outbreaks/{O}/contacts", token=token)[1]), "MISSING_REQUIRED_PERMISSION", "case_all says nothing on contacts")
    equal(s.call("GET", f"/outbreaks/{O}/people", token=token)[0], 200, "any of four permissions")
    equal(code_of(s.call("GET", f"/outbreaks/{O2}/cases", token=token)[1]), "ACCESS_DENIED")
    equal(code_of(s.call("PATCH", "/users/" + t["userId"], {"activeOutbreakId": O2}, token=token)[1]), "ACTIVE_OUTBREAK_NOT_ALLOWED")
    unknown = "00000000-0000-4000-8000-000000000000"
    equal(code_of(s.call("GET", f"/outbreaks/{unknown}/cases")[1]), "MODEL_NOT_FOUND", "unrestricted user, GET")
    equal(code_of(s.call("POST", f"/outbreaks/{unknown}/cases", {})[1]), "ACCESS_DENIED", "unrestricted user, POST")
    equal(code_of(s.call("POST", f"/outbreaks/{O2}/cases", {})[1]), "ACCESS_DENIED")
    equal(code_of(s.call("POST", f"/outbreaks/{O2}/cases/filter", {"filter": {}})[1]), "ACCESS_DENIED", "every POST")
    me = s.login("all@example.org")[1]
    s.token = me["id"]
    equal(s.call("PATCH", "/users/" + me["userId"], {"activeOutbreakId": O2})[1]["activeOutbreakId"], O2)
    equal(s.lab({})[0], 403, "the other outbreak is active now")
    equal(s.call("PATCH", "/users/" + me["userId"], {"activeOutbreakId": O})[0], 200)
    equal(s.lab({})[0], 200)


@check
def unknown_bearer_hangs_then_closes(s):
    with Server() as t:
        def bearer():
            c = socket.create_connection(("127.0.0.1", t.port), timeout=1)
            c.sendall(b"GET /api/outbreaks HTTP/1.1\r\nHost: x\r\nAuthorization: bearer nobody\r\n\r\n")
            return c
        first = bearer()
        try:
            first.recv(1)
            raise AssertionError("the first request got an answer")
        except socket.timeout:
            pass
        second = bearer()
        equal(second.recv(1), b"", "the second is closed")
        first.close()
        second.close()
        equal(t.call("GET", "/outbreaks")[0], 200, "others are served")


# ---- bodies and answers ----

@check
def bodies_and_accept(s):
    before = len(s.find("cases/case-1/lab-results"))
    status, made = s.lab({"sampleIdentifier": "FHIR"}, headers={"Content-Type": "application/fhir+json"})
    equal((status, "sampleIdentifier" in made), (200, False), "another content type is ignored")
    status, _, data = s.raw("POST", f"/api/outbreaks/{O}/cases/case-1/lab-results", "sampleIdentifier=FORM&notes=a+b%21", {
        "Authorization": s.token, "Content-Type": "application/x-www-form-urlencoded; charset=utf-8"})
    equal((json.loads(data)["sampleIdentifier"], json.loads(data)["notes"]), ("FORM", "a b!"))
    status, headers, data = s.raw("POST", f"/api/outbreaks/{O}/cases/case-1/lab-results", "{}", dict(JSON, Authorization=s.token, Accept="application/fhir+json"))
    equal((status, data), (406, b"Not Acceptable"))
    equal(len(s.find("cases/case-1/lab-results")), before + 3, "and yet it was executed")
    equal(s.raw("POST", f"/api/outbreaks/{O}/cases/case-1/lab-results", '{"notes":}', dict(JSON, Authorization=s.token))[0], 400)
    equal(s.raw("POST", f"/api/outbreaks/{O}/cases/case-1/lab-results", '"text"', dict(JSON, Authorization=s.token))[0], 400, "strict JSON")
    nine = json.dumps({"notes": "x" * (9 << 20)})
    equal(s.raw("POST", f"/api/outbreaks/{O}/cases/case-1/lab-results", nine, dict(JSON, Authorization=s.token))[0], 200, "9 MB are taken")


@check
def chunked_pipelined_and_expect(s):
    head = f"Host: x\r\nAuthorization: {s.token}\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", s.port), timeout=10) as c:
        path = f"/api/outbreaks/{O}/cases/case-1/lab-results"
        chunked = f"POST {path} HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\n5\r\n{{\"not\r\n0C;x=y\r\nes\":\"piped\"}}\r\n0\r\n\r\n"
        plain = f"GET {path}/count HTTP/1.1\r\n{head}\r\n"
        last = f"POST {path} HTTP/1.1\r\n{head}Expect: 100-continue\r\nConnection: close\r\nContent-Length: 2\r\n\r\n"
        c.sendall((chunked + plain + last).encode())
        got = b""
        while b"100 Continue" not in got:
            got += c.recv(65536)
        c.sendall(b"{}")
        while True:
            more = c.recv(65536)
            if not more:
                break
            got += more
    equal(got.count(b"HTTP/1.1 200 OK"), 3)
    assert b'"notes":"piped"' in got
    with socket.create_connection(("127.0.0.1", s.port), timeout=3) as c:
        c.sendall(b"GET /status HTTP/1.0\r\n\r\n")
        got = b""
        while True:
            more = c.recv(4096)
            if not more:
                break
            got += more
        assert b"Connection: close" in got and got.endswith(b"}"), "an HTTP/1.0 client waits for the end"
    with socket.create_connection(("127.0.0.1", s.port), timeout=10) as c:
        c.sendall(b"nonsense\r\n\r\n")
        assert c.recv(100).startswith(b"HTTP/1.1 400")


@check
def idle_connections_are_closed(s):
    with Server("--keep-alive", "1") as t, socket.create_connection(("127.0.0.1", t.port), timeout=5) as c:
        c.sendall(b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n")
        got, began = b"", time.monotonic()
        while True:
            more = c.recv(4096)
            if not more:
                break
            got += more
        assert b"Keep-Alive: timeout=1" in got
        assert 0.5 < time.monotonic() - began < 4


@check
def unknown_routes(s):
    status, answer = s.call("POST", f"/outbreaks/{O}/lab-results", {})
    equal((status, answer["error"]["message"]), (404, f'Shared class "outbreak" has no method handling POST /{O}/lab-results'))
    equal(s.call("GET", "/nothing/here")[1]["error"]["message"], "There is no method to handle GET /nothing/here")
    equal(s.call("POST", f"/outbreaks/{O}/events/x/lab-results", {})[0], 404)
    equal(s.call("GET", f"/outbreaks/{O}/contacts/count")[1]["error"]["message"], "No instance with id count found for contact")


# ---- lab results ----

@check
def values_are_cast_as_javascript_does(s):
    status, r = s.lab({"sampleIdentifier": 42, "quantitativeResult": 24.50, "notes": {}, "testedFor": ["a", 1], "labName": True, "result": None, "own": {"x": 1.0},
                       "dateSampleTaken": "09/11/2026", "dateTesting": 0, "dateOfResult": "2026-11-09T10:15:00+03:00", "sequence": {"dateSampleSent": "2026-11-09"},
                       "questionnaireAnswers": {"ct": [{"value": "24.5"}, {"value": "<20"}], "order": [{"value": "a", "date": "2026-01-01"}, {"value": "b", "date": "2026-02-01"}]}})
    equal(status, 200)
    equal([r[k] for k in ("sampleIdentifier", "quantitativeResult", "notes", "testedFor", "labName", "result", "own")],
          ["42", "24.5", "[object Object]", "a,1", "true", None, {"x": 1}])
    equal([r[k] for k in ("dateSampleTaken", "dateTesting", "dateOfResult")], ["2026-09-11T00:00:00.000Z", "1970-01-01T00:00:00.000Z", "2026-11-09T07:15:00.000Z"])
    equal(r["sequence"], {"hasSequence": False, "dateSampleSent": "2026-11-09T00:00:00.000Z"})
    equal(r["questionnaireAnswers"]["ct"], [{"value": 24.5}, {"value": None}])
    equal([a["value"] for a in r["questionnaireAnswers"]["order"]], ["b", "a"], "newest answer first")
    equal(s.lab({"dateTesting": "20261109", "dateOfResult": {}})[1]["error"]["details"]["codes"], {"dateTesting": ["date"], "dateOfResult": ["date"]})
    equal(s.lab({"sampleIdentifier": 12345678901234567890})[1]["sampleIdentifier"], "12345678901234567000", "a double")
    equal(s.lab({"questionnaireAnswers": {"ct": "24"}})[0], 500)
    equal([x["id"] for x in s.find("cases/case-1/lab-results", where={"questionnaireAnswers.order.value": "a"})], [r["id"]])


@check
def updates_merge_and_outbreak_id_moves(s):
    made = s.lab({"sampleIdentifier": "U", "notes": "n", "questionnaireAnswers": {"order": [{"value": 1}]}})[1]
    path = f"/outbreaks/{O}/cases/case-1/lab-results/{made['id']}"
    status, r = s.call("PUT", path, {"notes": None, "questionnaireAnswers": {}, "id": "other", "createdAt": "2000-01-01", "personId": "x"})
    equal((status, r["notes"], r["questionnaireAnswers"], r["sampleIdentifier"]), (200, None, {}, "U"))
    equal((r["id"], r["createdAt"], r["personId"]), (made["id"], made["createdAt"], "case-1"), "read-only")
    equal(s.call("PUT", path, {"outbreakId": O2})[0], 200)
    equal(s.call("GET", f"/outbreaks/{O}/lab-results/{made['id']}")[0], 404, "it left the outbreak")
    equal(s.call("GET", path)[0], 200, "but not its person")


@check
def aggregate_hides_contacts_and_joins_persons(s):
    s.lab({"sampleIdentifier": "AGG"}, person="contacts/contact-1")
    s.lab({"sampleIdentifier": "AGG"})
    found = s.find("lab-results/aggregate", where={"sampleIdentifier": "AGG"})
    equal([(r["personId"], r["person"]["visualId"]) for r in found], [("case-1", "CA-0000000007")])
    equal(len(s.find("contacts/contact-1/lab-results", where={"sampleIdentifier": "AGG"})), 1)
    equal(s.find("lab-results/aggregate", where={"sampleIdentifier": "AGG", "case": {"lastName": "Nobody"}}), [])
    equal(s.find("lab-results/aggregate-filtered-count", where={"sampleIdentifier": "AGG", "case": {"lastName": "Practice"}}), {"count": 1})
    count = f"/outbreaks/{O}/cases/case-1/lab-results/"
    equal(s.call("GET", count + "count?where=" + urllib.parse.quote('{"sampleIdentifier":"AGG"}'))[1], {"count": 1})
    hidden = s.lab({"sampleIdentifier": "AGG", "personType": "else"})[1]
    equal(hidden["personType"], "else")
    equal(s.call("GET", count + "filtered-count?filter=" + urllib.parse.quote('{"where":{"sampleIdentifier":"AGG"}}'))[1], {"count": 1}, "a foreign personType hides it")
    equal(s.call("PUT", f"/outbreaks/{O}/lab-results/bulk?where=" + urllib.parse.quote('{"sampleIdentifier":"AGG"}'), {"status": "S"})[1], {"count": 3})


@check
def custom_ids(s):
    with Server("--custom-ids") as t:
        equal(t.lab({"id": "mine"})[1]["id"], "mine")
        equal(t.lab({"id": "mine"})[1]["error"]["details"]["codes"], {"id": ["uniqueness"]})
        equal(t.call("DELETE", f"/outbreaks/{O}/cases/case-1/lab-results/mine")[0], 204)
        status, answer = t.lab({"id": "mine"})
        equal((status, answer["error"]["details"]["error"]["code"]), (500, 11000))
        equal(len(t.find("cases/case-1/lab-results")), 1, "the seeded one")


# ---- persons ----

@check
def visual_ids(s):
    equal(s.call("POST", f"/outbreaks/{O}/cases/generate-visual-id", {"visualIdMask": "CA-9999999999"})[1], "CA-0000000008")
    a = s.call("POST", f"/outbreaks/{O}/cases", {"visualId": "CA-0000000099"})[1]
    equal(a["visualId"], "CA-0000000008", "digits are replaced")
    b = s.call("POST", f"/outbreaks/{O}/cases", {"visualId": "CA-9999999999", "dateOfOnset": "2026-11-08"})[1]
    assert "visualId" not in b and b["followUp"]["startDate"] == "2026-11-09T00:00:00.000Z", b
    equal(s.call("GET", f"/outbreaks/{O}/cases/{b['id']}")[1]["visualId"], "CA-0000000009")
    assert "visualId" not in s.call("PUT", f"/outbreaks/{O}/cases/{a['id']}", {"visualId": "CA-0000000008", "lastName": "Kept"})[1]
    equal(s.call("GET", f"/outbreaks/{O}/cases/{a['id']}")[1]["visualId"], "CA-0000000008")
    equal(s.call("PUT", f"/outbreaks/{O}/cases/{a['id']}", {"visualId": "CA-0000000009"})[0], 409)
    t = s.login("second@example.org")[1]["id"]
    equal(s.call("POST", f"/outbreaks/{O2}/cases", {"visualId": "free text 7"}, token=t)[1]["visualId"], "free text 7")
    equal(s.call("POST", f"/outbreaks/{O2}/cases", {"visualId": "free text 7"}, token=t)[0], 409)
    for n in (1, 2):
        equal(s.call("POST", f"/outbreaks/{O2}/contacts", {"visualId": "CO-2026-9999"}, token=t)[1]["visualId"], f"CO-2026-000{n}")
    equal(s.call("POST", f"/outbreaks/{O2}/contacts", {"visualId": "CO-2027-9999"}, token=t)[1]["visualId"], "CO-2027-0001")
    equal(s.call("POST", f"/outbreaks/{O2}/contacts", {"visualId": "CO-YYYY-9999"}, token=t)[0], 422)
    for x in (a, b):
        s.call("DELETE", f"/outbreaks/{O}/cases/{x['id']}")


@check
def addresses(s):
    usual, previous = {"typeId": RD + "ADDRESS_TYPE_USUAL_PLACE_OF_RESIDENCE", "locationId": "L"}, {"typeId": RD + "ADDRESS_TYPE_PREVIOUS_USUAL_PLACE_OF_RESIDENCE"}
    path = f"/outbreaks/{O}/contacts-of-contacts"
    equal(code_of(s.call("POST", path, {"addresses": [usual, usual]})[1]), "ADDRESS_MULTIPLE_USUAL_PLACE_OF_RESIDENCE")
    equal(code_of(s.call("POST", path, {"addresses": [usual, previous]})[1]), "ADDRESS_PREVIOUS_PLACE_OF_RESIDENCE_MUST_HAVE_DATE")
    made = s.call("POST", path, {"addresses": [usual, dict(previous, date="2020-01-01")]})[1]
    equal((made["usualPlaceOfResidenceLocationId"], made["addresses"][1]["date"], made["address"]), ("L", "2020-01-01T00:00:00.000Z", {}))
    equal(s.call("PUT", f"{path}/{made['id']}", {"id": "another"})[0], 400)


@check
def delete_cascades_and_restore_reverses(s):
    made = s.call("POST", f"/outbreaks/{O}/cases", [{"id": "del-1", "visualId": "CA-9999999999"}, {"id": "del-2"}])[1]
    equal([m["id"] for m in made], ["del-1", "del-2"], "an array creates several")
    visual = made[0]["visualId"]
    lab = s.lab({"sampleIdentifier": "D"}, person="cases/del-1")[1]
    contact = s.call("POST", f"/outbreaks/{O}/contacts", {"firstName": "Only"})[1]["id"]
    s.call("POST", f"/outbreaks/{O}/contacts/{contact}/relationships", {"persons": [{"id": "del-1"}], "contactDate": "2026-11-09"})
    equal(s.call("GET", f"/outbreaks/{O}/cases/del-1")[1]["numberOfContacts"], 1)
    equal(s.call("DELETE", f"/outbreaks/{O}/cases/del-1")[0], 204)
    equal(s.call("DELETE", f"/outbreaks/{O}/cases/del-1")[0], 404)
    equal(s.lab({}, person="cases/del-1")[0], 404)
    equal(s.call("GET", f"/outbreaks/{O}/lab-results/{lab['id']}")[0], 404)
    equal(s.call("GET", f"/outbreaks/{O}/contacts/{contact}")[0], 404, "left isolated")
    gone = s.find("cases", deleted=True, where={"id": "del-1"})[0]
    equal((gone["visualId"], gone["documents"]), (None, [{"type": RD + "DOCUMENT_TYPE_ARCHIVED_ID", "number": visual}]))
    equal(s.find("cases", where={"documents.number": visual}), [])
    equal(s.call("POST", f"/outbreaks/{O}/cases/del-1/restore")[0], 200)
    equal(s.call("GET", f"/outbreaks/{O}/lab-results/{lab['id']}")[1]["deletedAt"], None)
    equal(s.call("GET", f"/outbreaks/{O}/cases/del-1")[1]["visualId"], None, "restore does not bring it back")
    equal(s.call("GET", f"/outbreaks/{O}/cases/del-1/relationships")[1][0]["persons"][1]["id"], contact)


@check
def conversion_keeps_the_id(s):
    made = s.call("POST", f"/outbreaks/{O}/contacts", {"firstName": "Conv"})[1]
    cid = made["id"]
    lab = s.lab({"sampleIdentifier": "CONV"}, person=f"contacts/{cid}")[1]
    time.sleep(0.003)
    status, case = s.call("POST", f"/outbreaks/{O}/contacts/{cid}/convert-to-case")
    equal((status, case["id"], case["wasContact"], case["classification"]), (200, cid, True, RD + "CASE_CLASSIFICATION_SUSPECT"))
    equal(s.lab({}, person=f"contacts/{cid}")[0], 404)
    equal([p["type"] for p in s.find("people", where={"id": cid})], [RD + "PERSON_TYPE_CASE"])
    now = s.find(f"cases/{cid}/lab-results")[0]
    equal((now["personType"], now["dbUpdatedAt"]), (RD + "PERSON_TYPE_CASE", lab["dbUpdatedAt"]))
    assert now["updatedAt"] > lab["updatedAt"]
    equal(s.call("POST", f"/outbreaks/{O}/cases/{cid}/convert-to-contact")[1]["wasCase"], True)
    equal(s.find(f"contacts/{cid}/lab-results")[0]["personType"], RD + "PERSON_TYPE_CONTACT")


@check
def relationship_errors(s):
    path = f"/outbreaks/{O}/contacts/contact-1/relationships"
    equal(s.call("POST", path, {})[0], 500)
    equal(code_of(s.call("POST", path, {"persons": [{"id": "contact-1"}]})[1]), "VALIDATION_ERROR")
    s.call("POST", f"/outbreaks/{O}/cases", {"id": "discarded", "classification": RD + "CASE_CLASSIFICATION_NOT_A_CASE_DISCARDED"})
    equal(code_of(s.call("POST", path, {"persons": [{"id": "discarded"}]})[1]), "INVALID_RELATIONSHIP_WITH_DISCARDED_CASE")


# ---- queries ----

@check
def filters_on_the_wire(s):
    equal([c["id"] for c in s.find("cases", where={"visualId": {"inq": ["CA-0000000007", "x"]}}, fields=["id"])], ["case-1"])
    either = [{"id": "case-1"}, {"visualId": "CA-0000000007"}, {"documents": {"elemMatch": {"number": "MRN-1"}}}, {"documents.number": {"inq": ["MRN-1", "none"]}}]
    equal([c["id"] for c in s.find("cases", where={"or": either})], ["case-1"], "found four ways, shown once")
    equal(len(s.find("cases", where={"or": either + [{"lastName": {"exists": False}}]})), 1 + len(s.find("cases", where={"lastName": None})), "an arm without an index")
    status, found = s.call("GET", f"/outbreaks/{O}/cases?filter[where][visualId]=CA-0000000007&filter[limit]=1&filter[fields][id]=true")
    equal(len(found), 1, "bracket form")
    everything = len(s.find("cases"))
    equal(len(s.call("POST", f"/outbreaks/{O}/cases/filter", {"where": {"id": "case-1"}})[1]), everything, "a bare filter is ignored")
    equal(s.call("POST", f"/outbreaks/{O}/cases/filter", {"filter": '{"limit":1}'})[0], 400, "a filter as text")
    equal(s.call("GET", f"/outbreaks/{O}/cases/count?filter=" + urllib.parse.quote('{"where":{"id":"case-1"}}'))[1], {"count": everything}, "the wrong parameter counts everything")
    equal(s.call("GET", f"/outbreaks/{O}/cases?filter=" + urllib.parse.quote('{"limit":"x"}'))[0], 400)
    equal(s.call("GET", f"/outbreaks/{O}/cases?filter=" + urllib.parse.quote('{"where":{"$where":"1"}}'))[0], 500)
    equal(len(s.find("cases", where={"dob": {"between": ["1990-05-04", "1990-05-04T23:59:59Z"]}})), 1)
    equal(s.find("cases", where={"id": {"in": ["case-1"]}}), [], "`in` is no operator")
    s.call("PUT", f"/outbreaks/{O}/cases/case-1", {"occupation": "not"})
    equal(s.find("cases", where={"occupation": "not"}), [], "rewritten on this route")
    s.lab({"sampleIdentifier": "2026-11-09"})
    equal(s.find("cases/case-1/lab-results", where={"sampleIdentifier": "2026-11-09"}), [])
    equal(len(s.find("cases/case-1/lab-results", where={"sampleIdentifier": {"regexp": "^2026-11-09$"}})), 1)
    equal(len(s.find("cases", where={"id": "case-1"}, include=[{"relation": "labResults"}])[0]["labResults"]), len(s.find("cases/case-1/lab-results")))


@check
def cursors_see_everything_once(s):
    ids = [s.call("POST", f"/outbreaks/{O}/contacts", {"firstName": f"P{n}"})[1]["id"] for n in range(25)]
    for field in ("updatedAt", "dbUpdatedAt"):
        seen, where = [], {}
        while True:
            page = s.find("contacts", where=where, order=[f"{field} ASC", "id ASC"], limit=7, fields=["id", "updatedAt", "dbUpdatedAt"])
            seen += [p["id"] for p in page]
            if len(page) < 7:
                break
            at, last = page[-1][field], page[-1]["id"]
            where = {"or": [{field: {"gt": at}}, {"and": [{field: at}, {"id": {"gt": last}}]}]}
        equal(len(seen), len(set(seen)), "nothing twice")
        assert set(ids) <= set(seen)
        equal(len(seen), len(s.find("contacts")))


@check
def locations(s):
    def find(where):
        return [p["id"] for p in s.call("GET", "/locations?filter=" + urllib.parse.quote(json.dumps({"where": where})))[1]]
    equal((find({"name": "Testville"}), find({"parentLocationId": "loc-1"}), find({"identifiers.code": "TV01"}), find({"name": "x"})), (["loc-1"], ["loc-2"], ["loc-1"], []))
    equal(s.call("GET", "/locations/loc-2")[1]["name"], "Quarter")
    equal(s.call("GET", "/locations/none")[0], 404)


@check
def reference_data(s):
    equal(s.call("GET", "/reference-data?filter=" + urllib.parse.quote(json.dumps({"where": {"code": "DL2"}})))[1][0]["id"], RD + "LAB_NAME_DISTRICT_LAB_2")
    made = s.call("POST", "/reference-data", {"categoryId": RD + "LAB_NAME", "value": "Hub", "code": "H", "description": "d"})[1]
    equal((made["id"], made["value"], made["active"]), (RD + "LAB_NAME_HUB", RD + "LAB_NAME_HUB", True))
    equal(s.call("POST", "/reference-data", {"categoryId": RD + "LAB_NAME", "value": "hub"})[0], 409)
    status, answer = s.call("POST", "/reference-data", {"categoryId": RD + "LAB_NAME", "value": "Hub 9", "code": "H"})
    equal((status, answer["error"]["details"]["error"]["code"]), (500, 11000))
    equal(s.call("POST", "/reference-data", {"categoryId": "x", "value": "y"})[0], 422)
    equal(s.call("PATCH", "/reference-data/" + made["id"], {"active": False})[1]["active"], False)
    equal(s.call("DELETE", "/reference-data/" + made["id"])[0], 204)
    equal(s.call("GET", "/reference-data/" + made["id"])[0], 404)
    equal(s.call("DELETE", f"/reference-data/{RD}OUTCOME_ALIVE")[0], 422, "read-only")


@check
def attachments_need_their_parts(s):
    body = "--B\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nn\r\n--B--\r\n"
    headers = {"Authorization": s.token, "Content-Type": "multipart/form-data; boundary=B"}
    status, _, data = s.raw("POST", f"/api/outbreaks/{O}/attachments", body, headers)
    equal((status, code_of(json.loads(data))), (400, "MISSING_REQUIRED_PROPERTY"))
    raw = bytes(range(256)) * 40
    body = b"--B\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nn\r\n--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.bin\"\r\n\r\n" + raw + b"\r\n--B--\r\n"
    made = json.loads(s.raw("POST", f"/api/outbreaks/{O}/attachments", body, headers)[2])
    path = f"/api/outbreaks/{O}/attachments/{made['id']}"
    equal(s.raw("GET", path + "/download", headers=headers)[2], raw)
    equal(s.raw("DELETE", path, headers=headers)[0], 204)
    equal(s.raw("GET", path, headers=headers)[0], 404)


# ---- faults ----

def mark(s, name):
    return len(s.find("cases/case-1/lab-results", where={"sampleIdentifier": name}))


@check
def fail_every(s):
    s.control("faults", {"fail-every": 3})
    equal([s.raw("POST", f"/api/outbreaks/{O}/cases/case-1/lab-results", '{"sampleIdentifier":"F503"}', dict(JSON, Authorization=s.token))[0] for _ in range(6)],
          [200, 200, 503, 200, 200, 503])
    equal(mark(s, "F503"), 4, "a failed one is not written")
    s.control("faults", {"fail-every": 0})


@check
def drop_reply(s):
    s.control("faults", {"drop-reply": 2})
    outcome = []
    for _ in range(4):
        try:
            outcome.append(s.lab({"sampleIdentifier": "DROP"})[0])
        except (http.client.RemoteDisconnected, ConnectionResetError):
            outcome.append("closed")
    s.control("faults", {"drop-reply": 0})
    equal(outcome, [200, "closed", 200, "closed"])
    equal(mark(s, "DROP"), 4, "a dropped one is written")


@check
def late(s):
    for hold in (False, True):
        name = f"LATE-{hold}"
        s.control("faults", {"late": 0.6, "late-every": 2, "late-hold": hold})
        equal(s.lab({"sampleIdentifier": name})[0], 200)
        try:
            s.lab({"sampleIdentifier": name}, timeout=0.3)
            raise AssertionError("a late write got an answer")
        except socket.timeout:
            assert hold
        except (http.client.RemoteDisconnected, ConnectionResetError):
            assert not hold
        equal(mark(s, name), 1, "not yet")
        time.sleep(0.9)
        equal(mark(s, name), 2, "late, but written")
    s.control("faults", {"late": 0, "late-every": 0, "late-hold": False})
    equal(s.control("faults")["late-every"], 0)


@check
def injected_answers(s):
    route = "POST /outbreaks/:o/:p/:1/lab-results"
    s.control("inject", {"route": route, "status": 502, "times": 2})
    equal(s.call("GET", "/outbreaks")[0], 200, "another route")
    path, headers = f"/api/outbreaks/{O}/cases/case-1/lab-results", dict(JSON, Authorization=s.token)
    equal([s.raw("POST", path, '{"sampleIdentifier":"INJ"}', headers)[0] for _ in range(3)], [502, 502, 200])
    s.control("inject", {"route": route, "mode": "garbage", "executes": True})
    status, _, data = s.raw("POST", path, '{"sampleIdentifier":"INJ"}', headers)
    equal((status, data[:1]), (200, b"{"))
    try:
        json.loads(data)
        raise AssertionError("garbage is JSON")
    except ValueError:
        pass
    for mode in ("half", "close", "hang"):
        s.control("inject", {"route": route, "mode": mode, "executes": True})
        try:
            s.raw("POST", path, '{"sampleIdentifier":"INJ"}', headers, timeout=0.5)
            raise AssertionError(f"{mode} gave a whole answer")
        except (http.client.IncompleteRead, http.client.RemoteDisconnected, ConnectionResetError, socket.timeout):
            pass
    equal(mark(s, "INJ"), 5)
    s.control("inject", {"route": route, "status": 409, "code": "MODEL_CONFLICT", "after": 1, "retry-after": 7})
    equal([s.raw("POST", path, '{"sampleIdentifier":"LATER"}', headers)[0] for _ in range(3)], [200, 409, 200], "after")
    s.control("inject", {"route": route, "status": 422, "name": "ValidationError", "retry-after": 7})
    status, more, data = s.raw("POST", path, "{}", headers)
    equal((status, {k.lower(): v for k, v in dict(more).items()}.get("retry-after")), (422, "7"))
    equal(json.loads(data)["error"]["details"]["codes"], {"dateSampleTaken": ["date"]})
    s.control("inject", {"status": 429})
    equal(s.raw("GET", "/api/outbreaks", headers=headers)[0], 429, "any route")
    equal(s.raw("POST", "/sandbox/inject", '{"route":"POST /nowhere"}', JSON)[0], 400)
    s.control("faults", {"fail-every": 1, "fail-status": 504})
    equal(s.raw("POST", path, "{}", headers)[0], 504)
    s.control("faults", {"fail-every": 0, "fail-status": 503})


@check
def two_factor_gives_no_token(s):
    with Server() as t:
        t.control("faults", {"two-factor": True})
        equal(t.login("all@example.org"), (200, {"twoFA": True}))
        equal(t.call("GET", "/outbreaks")[0], 200, "the old token lives on")


@check
def roles_tell_the_permissions(s):
    t = s.login("groups@example.org")[1]
    me = s.call("GET", "/users/" + t["userId"], token=t["id"])[1]
    assert "_password" not in me and "permissions" not in me
    available = {p["id"] for p in me["availablePermissions"]}
    assert {"case_create_lab_result", "lab_result_list", "contact_of_contact_list", "event_list"} <= available
    where = urllib.parse.quote(json.dumps({"where": {"id": {"inq": me["roleIds"]}}}))
    equal([r["permissionIds"] for r in s.call("GET", "/roles?filter=" + where, token=t["id"])[1]], [["case_all", "user_modify_own_account"]])
    equal(s.call("GET", "/users/" + t["userId"], token=s.login("second@example.org")[1]["id"])[0], 200, "user_view")
    other = s.login("all@example.org")[1]
    s.token = other["id"]
    equal(code_of(s.call("GET", "/users/" + other["userId"], token=t["id"])[1]), "MISSING_REQUIRED_PERMISSION")


@check
def slow_answers_do_not_block_each_other(s):
    s.control("faults", {"slow": 200})
    s.control("reset-stats", {})
    began = time.monotonic()
    threads = [threading.Thread(target=s.lab, args=({"sampleIdentifier": "SLOW"},)) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    took = time.monotonic() - began
    s.control("faults", {"slow": 0})
    assert 0.19 < took < 1.2, took
    equal(mark(s, "SLOW"), 8)
    stats = s.control("stats")
    assert stats["concurrent_max"] >= 4, stats
    equal((stats["lab_posts"], stats["routes"]["POST /outbreaks/:o/:p/:1/lab-results"]), (8, 8))


@check
def a_file_keeps_the_data(s):
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "sandbox.db")
        with Server("--db", path) as t:
            t.lab({"sampleIdentifier": "KEPT"})
        with Server("--db", path, seed={}) as t:
            equal(mark(t, "KEPT"), 1)
            equal(t.call("GET", "/outbreaks/count")[1], {"count": 2})


@check
def wrong_options(s):
    for args in (["--port", "x"], ["--nothing"], ["extra"]):
        p = subprocess.run([PROGRAM, "sandbox", *args], capture_output=True, timeout=10)
        equal(p.returncode, 2, args)
        assert p.stderr
    equal(subprocess.run([PROGRAM, "sandbox", "--seed", "/nonexistent"], capture_output=True, timeout=10).returncode, 1)
    equal(subprocess.run([PROGRAM, "sandbox", "--port", str(s.port)], capture_output=True, timeout=10).returncode, 1, "port taken")
    p = subprocess.Popen([PROGRAM, "sandbox", "--json", "--outbreak", "Drill \"7\"", "--user", "me@example.org"], stdout=subprocess.PIPE, text=True)
    said = json.loads(p.stdout.readline())
    p.terminate()
    p.wait(timeout=10)
    p.stdout.close()
    equal((said["outbreaks"][0]["name"], said["user"], said["url"]), ('Drill "7"', "me@example.org", f"http://127.0.0.1:{said['port']}/api"))
    assert b"--drop-reply" in subprocess.run([PROGRAM, "sandbox", "--help"], capture_output=True, timeout=10).stdout


def main():
    only = sys.argv[1:]
    failed = passed = 0
    with Server() as s:
        for f in CHECKS:
            if only and f.__name__ not in only:
                continue
            try:
                f(s)
                passed += 1
            except Exception as e:      # noqa: BLE001 - every failure is reported, then the next check runs
                failed += 1
                print(f"FAIL {f.__name__}: {type(e).__name__}: {e}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
