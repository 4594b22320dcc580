#!/usr/bin/env bash
# A stick both ways: out with a model to a gateway whose network is gone, back with what it did, signed, into the controller's
# store. Counted once, however often it is handed in and whatever the gateway says when it is back; a forged one is refused.
set -euo pipefail
cd "$(dirname "$0")/../../.."
export SKERRY_BUILD=${SKERRY_BUILD:-$PWD/build/release}
export keep=--tap
# shellcheck source=scripts/demo/lib.sh
. scripts/demo/lib.sh
# shellcheck source=tests/integration/models.sh
. tests/integration/models.sh

controller_port=$(free_port)
mkdir -p "$work/controller" "$work/keys"
cat >"$work/controller.toml" <<TOML
[state]
directory = "$work/controller"
[server]
listen = "127.0.0.1:$controller_port"
names = ["localhost", "127.0.0.1"]
TOML
run_controller() {
  start controller "$bin/skerry-controller" --config "$work/controller.toml"
  within 20 "the controller makes its operator's certificate" test -s "$work/controller/operator/operator.crt"
  within 20 "the controller answers" fleet info
}
enrol() {
  write_gateway "$1" 64MiB 'heartbeat = "1s"'
  sed -i "s#^root_file.*#&\noffline_root_file = \"$work/offline-root.json\"#" "$work/$1/skerryd.toml"
  sed -i "s#^\[runtime\]#&\nsandbox = \"best_effort\"\nworker_user = \"\"#" "$work/$1/skerryd.toml"
  connect "$1"
}
device_id() {
  json "d['device_id']" <"$work/$1/state/identity.json"
}
# imported FILTER: a value of the first report of the last import.
imported() {
  json "d['reports'][0]$1" <"$work/import.json"
}
# stored FILTER: a value of what the controller holds of the gateway's streams.
stored() {
  fleet telemetry --json --device "$(device_id one)" | json "$1"
}
records_of() {
  stored "next((int(s.get('records', 0)) for s in d.get('streams', []) if s['stream'] == '$1'), 0)"
}
device() {
  fleet devices --json "$(device_id one)" | json "d['devices'][0]$1"
}

step "the office"
"$skerry" keys create "$work/keys/image.pem" >/dev/null
"$skerry" keys create "$work/keys/offline.pem" >/dev/null
tests/integration/bundle/make_echo.py "$work/packed" 1.0.0 1 >/dev/null
for repository in image offline; do
  key=$work/keys/$repository.pem
  kind=()
  [ "$repository" = image ] || kind=(--offline)
  "$skerry" repo init "$work/$repository" "${kind[@]}" --root-key "$key" --targets-key "$key" --online-key "$key" >/dev/null
done
"$skerry" repo add "$work/image" "$work/packed/manifest.json" >/dev/null
for repository in image offline; do
  "$skerry" repo sign "$work/$repository" --key "$work/keys/$repository.pem" >/dev/null
  "$skerry" repo publish "$work/$repository" --online-key "$work/keys/$repository.pem" >/dev/null
done
"$skerry" repo root "$work/image" --out "$work/root.json" >/dev/null 2>&1
"$skerry" repo root "$work/offline" --out "$work/offline-root.json" >/dev/null 2>&1
"$skerry" bundle create "$work/stick/plant" --image "$work/image" --offline "$work/offline" --id plant.1 --device 'o*' \
  --model "$work/packed" --signing-key "$work/keys/offline.pem" --online-key "$work/keys/offline.pem" >/dev/null 2>&1
run_controller
enrol one
enrol other
stop other TERM
note "office" "a bundle, a controller, a gateway that enrolled once"

step "the network goes, a stick comes"
stop controller TERM
within 20 "the gateway is alone" sync_is one "backing off"
gateway one bundle import "$work/stick/plant" >/dev/null
slot_is one default "['active']['version']" 1.0.0 || fail "the model of the stick serves"
within 20 "it stays" slot_is one default "['state']" COMMITTED
# Telemetry goes out in chunks of five points; one may have reached the controller without an answer.
telemetry_waits() {
  gateway one bundle report --json "$work/stick" >"$work/report.json"
  [ "$(grep -aoh telemetry "$work"/stick/reports/*/outbox.skreport | wc -l)" -ge 2 ]
}
within 60 "telemetry waits" telemetry_waits
[ "$(json "d['outbox_bytes']" <"$work/report.json")" -gt 500 ] || fail "the report holds the outbox: $(cat "$work/report.json")"
report=$(find "$work/stick/reports" -name outbox.skreport)
[ -s "$(dirname "$report")/audit.skaudit" ] || fail "the audit log is beside it"
stop one TERM
note "report" "$(stat -c %s "$report") bytes for the controller, written without a network"

step "forged ones"
run_controller
before=$(records_of telemetry)
forge() {
  python3 - "$report" "$1" "$2" <<'PY'
import pathlib
import sys
source, target, how = sys.argv[1:]
data = bytearray(pathlib.Path(source).read_bytes())
if how == "flip":
    data[len(data) // 3] ^= 1
elif how == "cut":
    data = data[: len(data) - 10]
pathlib.Path(target).parent.mkdir(parents=True, exist_ok=True)
pathlib.Path(target).write_bytes(data)
PY
}
for how in flip cut; do
  forge "$work/forged-$how/outbox.skreport" "$how"
  if fleet reports import "$work/forged-$how" >"$work/out" 2>&1; then
    fail "a report with one $how byte is taken: $(cat "$work/out")"
  fi
  [ "$(records_of telemetry)" = "$before" ] || fail "nothing of it is stored"
done
# The certificate is in the report; its key is not. Another gateway of the fleet signs for this one.
sed "s/$(device_id other)/$(device_id one)/" "$work/other/state/identity.json" >"$work/identity.json"
cp "$work/identity.json" "$work/other/state/identity.json"
start other "$bin/skerryd" --config "$work/other/skerryd.toml"
within 20 "the impostor is up" gateway other status
gateway other bundle report "$work/impostor" >/dev/null 2>&1
if fleet reports import "$work/impostor" >"$work/out" 2>&1; then
  fail "a report by another gateway's key is taken: $(cat "$work/out")"
fi
want "$(cat "$work/out")" 'permission_denied.*signed a report of' "it is refused for whose key it is"
stop other TERM
note "forged reports" "a flipped byte, a cut, another gateway's key: nothing stored"

step "the stick is handed in"
fleet reports import --json "$work/stick" >"$work/import.json"
[ "$(imported "['device_id']")" = "$(device_id one)" ] || fail "the report is the gateway's: $(cat "$work/import.json")"
[ "$(imported "['applied']")" -gt 3 ] || fail "its records are new: $(cat "$work/import.json")"
[ -z "$(imported "['audit_unproven']")" ] || fail "the audit log is proven to have grown: $(cat "$work/import.json")"
[ -z "$(imported "['audit_finding']")" ] || fail "nothing is wrong with the audit log: $(cat "$work/import.json")"
[ "$(imported "['audit_size']")" -gt 5 ] || fail "the controller holds the log's new head"
want "$(device "['slots']")" '"state": "COMMITTED"' "the controller knows what the slot runs"
want "$(device "['slots']")" 'models/acme/echo/1.0.0' "and which model that is"
after=$(records_of telemetry)
[ "$after" -gt "$before" ] || fail "telemetry of the time without a network is there"
want "$(fleet audit --json)" 'report.import' "who handed it in is on the controller's audit log"
note "handed in" "$(imported "['applied']") records new, audit log of $(imported "['audit_size']") proven"

step "handed in again, and the gateway comes back"
fleet reports import --json "$report" >"$work/import.json"
[ "$(imported "['applied']")" = 0 ] || fail "nothing counts twice: $(cat "$work/import.json")"
[ "$(records_of telemetry)" = "$after" ] || fail "nothing is stored twice"
connect one
goes_on() { [ "$(records_of telemetry)" -gt "$after" ]; }
within 20 "it goes on where the stick ended" goes_on
[ "$(stored "sum(int(s.get('gap_records', 0)) for s in d.get('streams', []))")" = 0 ] || fail "nothing is missing in between"
[ -z "$(device ".get('audit_flag', '')")" ] || fail "its audit log goes on from the head of the stick"
mkdir -p "$work/stick/reports/0/outbox.skreport"
if fleet reports import --json "$work/stick" >"$work/import.json" 2>"$work/out"; then
  fail "what is no file is passed over: $(cat "$work/import.json")"
fi
want "$(cat "$work/out")" 'is a directory' "what cannot be read is named"
[ "$(imported "['device_id']")" = "$(device_id one)" ] || fail "the other reports of the stick are handed in: $(cat "$work/out")"
rm -r "$work/stick/reports/0"
note "once" "0 new at the second time, none lost or counted twice when the gateway is back"

step "a revoked gateway's stick"
fleet revoke "$(device_id one)" --reason "stolen" >/dev/null
if fleet reports import "$work/stick" >"$work/out" 2>&1; then
  fail "a revoked gateway's report is taken"
fi
want "$(cat "$work/out")" 'revoked' "the refusal says why"
note "revoked" "what its key signs is not believed"
finish
