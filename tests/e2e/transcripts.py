#!/usr/bin/env python3
"""Replays requests recorded from a real Go.Data 2.50.3 against `labrelay sandbox` and compares the answers.

LABRELAY         the program under test (default: ./labrelay)
LABRELAY_SHARED  where godata-transcripts/ lies (default: ../shared beside the repository); without it: SKIP, exit 77

Compared: status, the headers that clients look at, and the whole body. What changes from run to run (tokens, generated ids,
stamps) is mapped: the first time a recorded one meets ours they are bound, from then on they must go together. So a stamp that
the real server left alone must be left alone here too.
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
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
SHARED = os.environ.get("LABRELAY_SHARED", os.path.join(HERE, "..", "..", "..", "shared"))
FOLDER = os.path.join(SHARED, "godata-transcripts")
PROGRAM = os.environ.get("LABRELAY", "./labrelay")

# Transcripts that cannot be replayed, with the reason. All of them can at present.
LEFT_OUT = {}

# Headers that must be equal, and one that must be there or not. ETag, compression and lengths are not the sandbox's business.
HEADERS = ("Content-Type", "Content-Disposition", "Vary")

PASSWORD = "Str0ng-Passw0rd-1"
GROUPS = ["list", "view", "create", "modify", "generate_visual_id", "list_lab_result", "view_lab_result", "create_lab_result", "modify_lab_result"]
INTERFACE = [f"{who}_{what}" for who in ("case", "contact") for what in GROUPS] + [
    "outbreak_view", "outbreak_list", "relationship_list", "relationship_view", "relationship_create", "lab_result_list", "lab_result_view",
    "lab_result_create", "lab_result_modify", "event_list", "event_view", "contact_of_contact_list", "contact_of_contact_view",
    "user_modify_own_account", "user_list_for_filters"]
VIEWER = ["outbreak_view", "case_list", "case_view", "case_list_lab_result", "case_view_lab_result", "contact_list", "contact_view"]

STAMP = re.compile(r"^2026-11-20T15:\d\d:\d\d\.\d{3}Z$")        # the hour of the recording: "now" on that server
ISO = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")


class Mismatch(Exception):
    pass


def load():
    names = sorted(n for n in os.listdir(FOLDER) if n.endswith(".json"))
    out = []
    for name in names:
        with open(os.path.join(FOLDER, name), encoding="utf-8") as f:
            out.append((name[:-5], json.load(f)))
    return out


def body_of(items, suffix):
    """Recorded answer body of the transcript whose name ends so."""
    return next(t["response"]["body"] for name, t in items if name.endswith(suffix))


class Replay:
    def __init__(self, items):
        self.items = items
        self.bound = {}                 # recorded text -> ours
        self.whoami = body_of(items, "-whoami")
        self.outbreak = body_of(items, "-outbreak-get")
        self.manager_id = self.whoami["createdBy"]
        self.today = None

    # ---- the recorded server's starting state ----

    def seed(self):
        """Accounts and outbreaks as they stood before the first request; long texts are taken from the recording itself."""
        o = self.outbreak
        keep = ("id", "name", "disease", "countries", "startDate", "labResultsTemplate", "arcGisServers", "isContactLabResultsActive", "createdBy", "updatedBy")
        other = next(t["request"]["path"].rsplit("/", 1)[1] for n, t in self.items if n.endswith("-outbreak-not-allowed"))
        me = {k: v for k, v in self.whoami.items() if k in ("id", "email", "firstName", "lastName", "roleIds", "outbreakIds", "activeOutbreakId", "createdBy")}
        me.update(password=PASSWORD, permissions=INTERFACE, updatedBy="system")

        def account(email, permissions, **more):
            return dict(email=email, password=PASSWORD, permissions=permissions, outbreakIds=[o["id"]], activeOutbreakId=o["id"], **more)

        return {
            "outbreaks": [{k: o[k] for k in keep}, {"id": other, "name": "Another outbreak"}],
            "users": [me, account("manager@example.org", ["*"], id=self.manager_id), account("viewer@example.org", VIEWER),
                      account("tired@example.org", VIEWER), account("other@example.org", VIEWER)],
        }

    def start(self):
        self.dir = tempfile.TemporaryDirectory(prefix="labrelay-transcripts-")
        seed = os.path.join(self.dir.name, "seed.json")
        with open(seed, "w", encoding="utf-8") as f:
            json.dump(self.seed(), f)
        self.process = subprocess.Popen([PROGRAM, "sandbox", "--port", "0", "--seed", seed], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.match(r"sandbox listening on http://127\.0\.0\.1:(\d+)/api$", line.strip())
        if not found:
            raise SystemExit(f"transcripts: the sandbox did not start: {line!r}")
        self.port = int(found.group(1))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=10)
        self.process.stdout.close()
        self.dir.cleanup()
        return code

    # ---- requests ----

    def send(self, method, path, headers, body, timeout=30):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            c.putrequest(method, path, skip_accept_encoding=True)
            for k, v in headers.items():
                c.putheader(k, v)
            if body is not None:
                c.putheader("Content-Length", str(len(body)))
            c.endheaders(body)
            r = c.getresponse()
            return r.status, r.headers, r.read()
        finally:
            c.close()

    def login(self, email, password=PASSWORD):
        status, _, data = self.send("POST", "/api/users/login", {"Content-Type": "application/json"}, json.dumps({"email": email, "password": password}).encode())
        return status, json.loads(data)

    def control(self, path, value):
        status, _, data = self.send("POST", path, {"Content-Type": "application/json"}, json.dumps(value).encode())
        assert status == 200, (path, status, data)

    # ---- what happened between the recorded requests ----

    def prepare(self, name, t):
        """Steps that the recording does not hold: other accounts' logins, an expiry, wrong passwords, a lab name made by the manager."""
        token = t["request"]["headers"].get("Authorization")
        if name.endswith("-refdata-by-code"):
            _, answer = self.login("manager@example.org")
            item = {"categoryId": "LNG_REFERENCE_DATA_CATEGORY_LAB_NAME", "value": "Central Lab Testville", "code": "LAB-CT"}
            status, _, data = self.send("POST", "/api/reference-data", {"Content-Type": "application/json", "Authorization": answer["id"]}, json.dumps(item).encode())
            assert status == 200, data
        elif name.endswith("-viewer-lab-create-forbidden"):
            self.bound[token] = self.login("viewer@example.org")[1]["id"]
        elif name.endswith("-lab-delete"):
            self.bound[token] = self.login("manager@example.org")[1]["id"]
        elif name.endswith("-expired-token-first-use"):
            self.bound[token] = self.login("tired@example.org")[1]["id"]
            self.control("/sandbox/clock", {"advance": 601})
        elif name.endswith("-login-locked-out-right-password"):
            for _ in range(10):
                status, _ = self.login("other@example.org", "wrong")
                assert status == 401, status

    # ---- comparing ----

    def ours(self, text):
        """Recorded ids and tokens in a text, replaced by ours."""
        for recorded, actual in self.bound.items():
            if recorded in text and not STAMP.match(recorded):
                text = text.replace(recorded, actual)
        return text

    def bind(self, where, recorded, actual):
        if self.bound.setdefault(recorded, actual) != actual:
            raise Mismatch(f"{where}: {actual!r} does not go with {self.bound[recorded]!r}, both stand for {recorded!r}")

    def compare_text(self, where, recorded, actual):
        key = where.rsplit(".", 1)[-1]
        if STAMP.match(recorded) and isinstance(actual, str) and ISO.match(actual):
            self.bind(where, recorded, actual)
        elif UUID.match(recorded) and isinstance(actual, str) and UUID.match(actual):
            self.bind(where, recorded, actual)
        elif key in ("access_token", "id") and re.fullmatch(r"[A-Za-z0-9]{64}", recorded) and isinstance(actual, str) and re.fullmatch(r"[A-Za-z0-9]{64}", actual):
            self.bind(where, recorded, actual)
        elif key == "dateBecomeCase":
            if not (isinstance(actual, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT00:00:00\.000Z", actual)):
                raise Mismatch(f"{where}: {actual!r} is not the start of a day")
        elif self.ours(recorded) != actual:
            raise Mismatch(f"{where}: expected {self.ours(recorded)!r}, got {actual!r}")

    def compare_list(self, where, recorded, actual):
        if len(recorded) != len(actual):
            raise Mismatch(f"{where}: expected {len(recorded)} items, got {len(actual)}")
        ids = [x.get("id") for x in recorded if isinstance(x, dict)]
        if len(ids) == len(recorded) > 1 and all(i in self.bound for i in ids) and ids == sorted(ids):
            got = [x.get("id") for x in actual]
            if got == sorted(got):      # both by id; our ids are other ones, so bring ours into the recorded order
                at = {x["id"]: x for x in actual}
                actual = [at.get(self.bound[i]) for i in ids]
        for i, (r, a) in enumerate(zip(recorded, actual)):
            self.compare(f"{where}[{i}]", r, a)

    def compare(self, where, recorded, actual):
        key = where.rsplit(".", 1)[-1]
        if key == "uptime":
            if not isinstance(actual, (int, float)):
                raise Mismatch(f"{where}: not a number")
        elif key == "availablePermissions":
            if not isinstance(actual, list):
                raise Mismatch(f"{where}: not a list")
        elif isinstance(recorded, dict):
            if not isinstance(actual, dict):
                raise Mismatch(f"{where}: expected an object, got {actual!r}")
            missing, extra = sorted(recorded.keys() - actual.keys()), sorted(actual.keys() - recorded.keys())
            if missing or extra:
                raise Mismatch(f"{where}: missing {missing}, not in the recording {extra}")
            for k in recorded:
                self.compare(f"{where}.{k}", recorded[k], actual[k])
        elif isinstance(recorded, list):
            if not isinstance(actual, list):
                raise Mismatch(f"{where}: expected a list, got {actual!r}")
            self.compare_list(where, recorded, actual)
        elif isinstance(recorded, str):
            self.compare_text(where, recorded, actual)
        elif type(recorded) is not type(actual) or recorded != actual:
            raise Mismatch(f"{where}: expected {recorded!r}, got {actual!r}")

    def request_of(self, name, request):
        path, body = self.ours(request["path"]), request["body"]
        headers = {k: self.ours(v) for k, v in request["headers"].items()}
        if name.endswith("-filter-too-long-431"):
            where = {"where": {"visualId": {"inq": [f"CA-{n:010d}" for n in range(1000)]}}}
            path = path.split("?")[0] + "?filter=" + urllib.parse.quote(json.dumps(where))
        if name.endswith("-body-over-10mb"):
            data = b'{"sampleIdentifier":"' + b"x" * (10 << 20) + b'"}'
        elif body is None:
            data = None
        elif isinstance(body, str):
            data = body.encode()
        else:
            data = self.ours(json.dumps(body)).encode()
        return path, headers, data

    def expect_silence(self, request):
        """No answer and no close within two seconds."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as s:
            lines = [f"{request['method']} {request['path']} HTTP/1.1", "Host: sandbox"] + [f"{k}: {v}" for k, v in request["headers"].items()]
            s.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
            try:
                got = s.recv(1)
            except socket.timeout:
                return
            raise Mismatch(f"answered {got!r}" if got else "closed the connection")

    def replay(self, name, t):
        request, expected = t["request"], t["response"]
        self.prepare(name, t)
        if expected["status"] is None:
            self.expect_silence(request)
            return
        status, headers, data = self.send(request["method"], *self.request_of(name, request))
        if status != expected["status"]:
            raise Mismatch(f"status {status}, expected {expected['status']}: {data[:300]!r}")
        for h in HEADERS:
            if h in expected["headers"] and status != 204:
                self.compare_text(h, expected["headers"][h], headers.get(h))
        if ("Transaction-Id" in expected["headers"]) != ("Transaction-Id" in headers):
            raise Mismatch("Transaction-Id is there on one side only")
        if isinstance(expected["body"], str):
            self.compare("body", expected["body"], data.decode())
        else:
            self.compare("body", expected["body"], json.loads(data))


def main():
    if not os.path.isdir(FOLDER):
        print(f"SKIP: {FOLDER} is not there; NOTHING WAS COMPARED with a real server. Set LABRELAY_SHARED.", file=sys.stderr)
        return 77
    items = load()
    if not items:
        print(f"SKIP: no transcripts in {FOLDER}; NOTHING WAS COMPARED.", file=sys.stderr)
        return 77
    run = Replay(items)
    passed = failed = skipped = 0
    run.start()
    try:
        for name, t in items:
            if name in LEFT_OUT:
                skipped += 1
                print(f"skip {name}: {LEFT_OUT[name]}")
                continue
            try:
                run.replay(name, t)
                passed += 1
            except (Mismatch, AssertionError, OSError, http.client.HTTPException, ValueError) as e:
                failed += 1
                print(f"FAIL {name}: {e}")
    finally:
        code = run.stop()
    if code != 0:
        failed += 1
        print(f"FAIL the sandbox ended with {code}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
