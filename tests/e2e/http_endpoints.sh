#!/usr/bin/env bash
# http_endpoints - curl against each row of the endpoints (STANDARDS 6.7) and of HL7 v2 over HTTP: expected status and body.
#   LABRELAY=build/plain/labrelay tests/e2e/http_endpoints.sh
# Prints a TAP line for each; exit status 1 when one fails, 77 without curl.
command -v curl >/dev/null || { echo "1..0 # SKIP no curl"; exit 77; }
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
LABRELAY=${LABRELAY:-$ROOT/build/plain/labrelay}
DIR=$(mktemp -d /tmp/labrelay-curl.XXXXXX)
PORT=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
BASE=http://127.0.0.1:$PORT/fhir
mkdir -m 700 "$DIR/credentials"
umask 077
echo curl-token >"$DIR/credentials/tokens"
cat >"$DIR/labrelay.conf" <<EOF
node "curl"
store "$DIR/store.db"
listen http "ehr" {
    address 127.0.0.1:$PORT
    tokens  credential "tokens"
    parse   hl7v2 { timezone "Africa/Kampala" }
    parse   fhir { timezone "Africa/Kampala" }
}
route "all" { hold "no route" }
EOF
"$LABRELAY" run -c "$DIR/labrelay.conf" >"$DIR/log" 2>&1 &
PID=$!
trap 'kill $PID 2>/dev/null; wait $PID 2>/dev/null; rm -rf "$DIR"' EXIT
for _ in $(seq 200); do curl -s -o /dev/null "$BASE/metadata" && break; sleep 0.05; done

N=0; FAILED=0
# row NAME STATUS PATTERN CURL-ARGUMENTS...: PATTERN (extended regular expression) must be found in head or body; - : nothing
row() {
    name=$1; want=$2; pattern=$3; shift 3
    N=$((N + 1))
    got=$(curl -s -o "$DIR/body" -D "$DIR/head" -w '%{http_code}' -H "Authorization: Bearer ${TOKEN:-curl-token}" "$@")
    tr -d '\r' <"$DIR/head" >"$DIR/all"; tr '\n' ' ' <"$DIR/body" >>"$DIR/all"
    if [ "$got" = "$want" ] && { [ "$pattern" = - ] || grep -qE -- "$pattern" "$DIR/all"; }; then
        echo "ok $N - $name"
    else
        FAILED=$((FAILED + 1))
        echo "not ok $N - $name: status $got, wanted $want with $pattern"; sed 's/^/# /' "$DIR/all" | cut -c1-400
    fi
}

patient='{"resourceType":"Patient","id":"p","name":[{"family":"Okello","given":["Amina"]}],"gender":"female","birthDate":"1988-03-14"}'
value='"valueCodeableConcept":{"coding":[{"system":"http://snomed.info/sct","code":"260373001"}]}'
code='"code":{"coding":[{"system":"http://loinc.org","code":"41636-2"}]}'
observation() { echo "{\"resourceType\":\"Observation\",\"id\":\"o$1\",\"status\":\"final\",$code,\"subject\":{\"reference\":\"#p\"},\"contained\":[$patient],\"issued\":\"2026-11-05T10:15:00+03:00\",$value}"; }
report() { echo "{\"resourceType\":\"DiagnosticReport\",\"id\":\"$1\",\"status\":\"${2:-final}\",$code,\"issued\":\"2026-11-05T10:15:00+03:00\",\"contained\":[$patient,{\"resourceType\":\"Observation\",\"id\":\"o\",\"status\":\"final\",$code,\"subject\":{\"reference\":\"#p\"},$value}],\"subject\":{\"reference\":\"#p\"},\"result\":[{\"reference\":\"#o\"}]}"; }
entry() { echo "{\"fullUrl\":\"urn:uuid:5b1f0001-0000-4000-8000-0000000000$2\",\"resource\":$1,\"request\":{\"method\":\"POST\",\"url\":\"$3\"}}"; }
message() { echo "{\"resourceType\":\"Bundle\",\"type\":\"message\",\"entry\":[{\"fullUrl\":\"urn:uuid:5b1f0001-0000-4000-8000-0000000000aa\",\"resource\":{\"resourceType\":\"MessageHeader\",\"id\":\"mh-$1\",\"eventUri\":\"urn:x\",\"source\":{\"endpoint\":\"urn:lab\"}}},{\"fullUrl\":\"urn:uuid:5b1f0001-0000-4000-8000-0000000000ab\",\"resource\":$(observation "$1")}]}"; }
entries() { echo "[$(entry "$(observation "$1a")" 01 Observation),$(entry "$(report "r$1")" 02 DiagnosticReport),$(entry "$(observation "$1b")" 03 Observation)]"; }
json() { row "$1" "$2" "$3" -X "${6:-POST}" -H 'Content-Type: application/fhir+json' --data-binary "$5" "$BASE$4" "${@:7}"; }

row 'GET metadata, JSON' 200 '"resourceType":"CapabilityStatement".*"fhirVersion":"4.0.1".*"mode":"server"' "$BASE/metadata"
row 'GET metadata, XML' 200 '<CapabilityStatement xmlns="http://hl7.org/fhir">.*<fhirVersion value="4.0.1"/>' -H 'Accept: application/fhir+xml' "$BASE/metadata"
row 'metadata has an ETag' 200 '^ETag: W/"' "$BASE/metadata"
json 'transaction: its entries in order' 200 '"transaction-response".*"201 Created".*Observation/.*"201 Created".*DiagnosticReport/.*"201 Created".*Observation/' '' "{\"resourceType\":\"Bundle\",\"type\":\"transaction\",\"entry\":$(entries 1)}"
json 'the same transaction again: the stored answer' 200 '"transaction-response".*Observation/.*DiagnosticReport/.*Observation/' '' "{\"resourceType\":\"Bundle\",\"type\":\"transaction\",\"entry\":$(entries 1)}"
json 'transaction with a bad entry: nothing' 422 'OperationOutcome.*Bundle.entry\[1\]' '' "{\"resourceType\":\"Bundle\",\"type\":\"transaction\",\"entry\":[$(entry "$(observation 5)" 01 Observation),$(entry '{"resourceType":"Observation","status":"final"}' 02 Observation)]}"
json 'batch: each entry by itself' 200 '"batch-response".*"201 Created".*"422 Unprocessable Entity".*OperationOutcome' '' "{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"entry\":[$(entry "$(observation 6)" 01 Observation),$(entry '{"resourceType":"Observation","status":"final"}' 02 Observation)]}"
json 'message at the base' 200 'OperationOutcome.*informational' '' "$(message 1)"
json 'collection at the base' 200 'OperationOutcome' '' "{\"resourceType\":\"Bundle\",\"type\":\"collection\",\"entry\":[{\"resource\":$(observation 7)}]}"
json 'document at the base' 200 'OperationOutcome' '' "{\"resourceType\":\"Bundle\",\"type\":\"document\",\"identifier\":{\"system\":\"urn:x\",\"value\":\"d1\"},\"timestamp\":\"2026-11-05T10:15:00Z\",\"entry\":[{\"fullUrl\":\"urn:uuid:5b1f0001-0000-4000-8000-000000000001\",\"resource\":{\"resourceType\":\"Composition\",\"status\":\"final\",\"type\":{\"text\":\"r\"},\"date\":\"2026-11-05\",\"author\":[{\"display\":\"x\"}],\"title\":\"x\"}},{\"fullUrl\":\"urn:uuid:5b1f0001-0000-4000-8000-000000000002\",\"resource\":$(observation 8)}]}"
json 'POST Bundle: 201 and Location' 201 '^Location: /fhir/Bundle/[A-Za-z0-9.-]+/_history/1$' /Bundle "{\"resourceType\":\"Bundle\",\"type\":\"collection\",\"entry\":[{\"resource\":$(observation 9)}]}"
json 'POST Bundle: ETag' 201 '^ETag: W/"1"$' /Bundle "{\"resourceType\":\"Bundle\",\"type\":\"collection\",\"entry\":[{\"resource\":$(observation 10)}]}"
json 'POST DiagnosticReport' 201 '^Location: /fhir/DiagnosticReport/' /DiagnosticReport "$(report a)"
json 'POST Observation' 201 '^Location: /fhir/Observation/' /Observation "$(observation 11)"
json 'PUT DiagnosticReport/id: created' 201 '^Location: /fhir/DiagnosticReport/r1/_history/' /DiagnosticReport/r1 "$(report r1)" PUT
json 'PUT DiagnosticReport/id: updated' 200 '^Location: /fhir/DiagnosticReport/r1/_history/' /DiagnosticReport/r1 "$(report r1 amended)" PUT
json 'PUT ?identifier: created' 201 '^Location' '/DiagnosticReport?identifier=urn:lab%7C77' "$(report b)" PUT
json 'PUT ?identifier: updated' 200 '^Location' '/DiagnosticReport?identifier=urn:lab%7C77' "$(report b corrected)" PUT
json 'If-None-Exist, none' 201 '^Location' /Observation "$(observation 12)" POST -H 'If-None-Exist: identifier=urn:lab|O-12'
json 'If-None-Exist, one' 200 'duplicate' /Observation "$(observation 13)" POST -H 'If-None-Exist: identifier=urn:lab|O-12'
json '$process-message' 200 '"type":"message".*"MessageHeader".*"identifier":"mh-2".*"code":"ok"' '/$process-message' "$(message 2)"
json '$process-message, async' 202 - '/$process-message?async=true' "$(message 3)"
json 'Prefer: return=minimal' 201 '^Content-Length: 0$' /Observation "$(observation 14)" POST -H 'Prefer: return=minimal'
json 'Prefer: return=OperationOutcome' 201 'OperationOutcome' /Observation "$(observation 15)" POST -H 'Prefer: return=OperationOutcome'
json 'Prefer: return=representation' 201 '"resourceType":"Observation","id":"o16"' /Observation "$(observation 16)" POST -H 'Prefer: return=representation'
json 'Prefer: respond-async' 202 '^Content-Location: /fhir/_async/m[0-9]+$' /Observation "$(observation 17)" POST -H 'Prefer: respond-async'
row 'GET of stored data' 405 'not-supported' "$BASE/Observation/o1"
row 'DELETE' 405 '^Allow: PUT$' -X DELETE "$BASE/Observation/o1"
row 'PATCH' 405 'OperationOutcome' -X PATCH -d x "$BASE/DiagnosticReport/r1"
row 'unknown type' 404 'not-found' -X POST -d x "$BASE/Medication"
TOKEN=wrong row 'wrong token' 401 '^WWW-Authenticate: Bearer' -X POST -d x "$BASE"
json 'not JSON' 400 'structure' '' '{"resourceType"'
row 'no Content-Type' 415 'OperationOutcome' -H 'Content-Type:' -X POST -d x "$BASE"
json 'Accept: text/plain' 406 'OperationOutcome' '' '{}' POST -H 'Accept: text/plain'
head -c 9000000 /dev/zero >"$DIR/big"
row 'body over the limit' 413 'too-long' -H 'Content-Type: application/fhir+json' --data-binary "@$DIR/big" "$BASE"
json 'business rule' 422 'extension' /Observation "$(observation 18 | sed 's/"status"/"modifierExtension":[{"url":"urn:x","valueBoolean":true}],"status"/')"
printf 'MSH|^~\\&|DEV|LAB|LR|MOH|20261105101500+0300||ORU^R01^ORU_R01|C1|P|2.5.1\rPID|1||1||Okello^Amina\rOBR|1||F1|41636-2^x^LN\rOBX|1|CWE|41636-2^x^LN|1|260373001^x^SCT||||||F\r' >"$DIR/good.hl7"
sed 's/|C1|/|C2|/; s/||||||F/||||||?/' "$DIR/good.hl7" >"$DIR/bad.hl7"
row 'HL7 v2: AA' 200 'MSA\|AA\|C1' -H 'Content-Type: application/hl7-v2+er7; charset=utf-8' --data-binary "@$DIR/good.hl7" "http://127.0.0.1:$PORT/hl7"
row 'HL7 v2: a bad message is 200 with AE' 200 'MSA\|AE\|C2' -H 'Content-Type: application/hl7-v2+er7' --data-binary "@$DIR/bad.hl7" "http://127.0.0.1:$PORT/hl7"
row 'HL7 v2: its media type' 200 '^Content-Type: application/hl7-v2\+er7; charset=utf-8$' -H 'Content-Type: application/hl7-v2+er7' --data-binary "@$DIR/good.hl7" "http://127.0.0.1:$PORT/hl7"
row 'HL7 v2: no body' 400 '^Content-Type: text/plain' -H 'Content-Type: application/hl7-v2+er7' -X POST "http://127.0.0.1:$PORT/hl7"
sleep 1.2
N=$((N + 1))
if "$LABRELAY" verify -c "$DIR/labrelay.conf" >"$DIR/verify"; then echo "ok $N - verify balances"; else FAILED=$((FAILED + 1)); echo "not ok $N - verify"; sed 's/^/# /' "$DIR/verify"; fi
echo "1..$N"
[ $FAILED = 0 ]
