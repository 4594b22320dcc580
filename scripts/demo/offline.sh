# shellcheck shell=bash disable=SC2154
# The controller goes away: nothing stops. A new version is pushed meanwhile; when the controller is back, everything
# arrives, once.

step "without the controller"
stop controller TERM
for name in large small; do
  within 15 "$name notices" sync_is "$name" "backing off"
done
before=$(gateway small status --json | json "int(d['sync']['outbox_records'])")
for _ in 1 2 3 4 5; do
  answer=$(gateway small run default --raw --temperature 0 "$line")
  [ "$answer" = "$expected" ] || fail "answers go on without the controller; got $answer"
done
queued() { [ "$(gateway small status --json | json "int(d['sync']['outbox_records'])")" -gt "$before" ]; }
within 10 "telemetry queues on disk" queued
waiting=$(gateway small status --json | json "int(d['sync']['outbox_records'])")
note "controller stopped" "answers go on, $waiting records wait on disk"

# The operator works on it at another address, which no gateway knows.
controller_port=$(free_port)
write_controller "$controller_port"
start controller "$bin/skerry-controller" --config "$work/controller.toml"
within 20 "the controller answers at its other address" fleet info
pack examples/models/log-triage 1.1.0 2 "$work/packed/log-2" --derived "$models/log-triage" \
  --variant q8_0 --variant q4_k_m --variant q2_k
fleet push "$work/packed/log-2" "${signing[@]}" >/dev/null 2>&1
rollout=$(fleet rollout start models/acme/log-triage/1.1.0 --slot default --canary 2 --json | json "d['rollout_id']")
[ "$(slot small default "['active']['version']")" = 1.0.0 ] || fail "no gateway has heard of 1.1.0 yet"
stop controller TERM

step "the controller returns"
controller_port=$gateway_port
write_controller "$controller_port"
start controller "$bin/skerry-controller" --config "$work/controller.toml"
within 20 "the controller answers" fleet info
fleet_within 60 rollout watch "$rollout" >"$work/out" 2>&1 || fail "1.1.0 reaches both gateways: $(cat "$work/out")"
for name in large small; do
  within 10 "$name runs 1.1.0" slot_is "$name" default "['active']['version']" 1.1.0
done
drained() { [ "$(gateway small status --json | json "int(d['sync']['outbox_records'])")" -lt "$waiting" ]; }
within 20 "the outbox empties" drained
note "controller back" "both gateways run 1.1.0 from $rollout"

# Exactly once: as many records as the highest sequence number, none missing, none twice.
telemetry=$(fleet telemetry --json)
complete=$(json "all(int(s['records']) + int(s['gap_records']) == int(s['highest_seq']) and int(s['gap_records']) == 0 for s in d['streams']) and len(d['streams']) >= 2" <<<"$telemetry")
[ "$complete" = True ] || [ "$complete" = true ] || fail "telemetry is complete; got $telemetry"
note "telemetry" "$(json "sum(int(s['records']) for s in d['streams'])" <<<"$telemetry") records, no gap, $(json "sum(int(s['duplicates_ignored']) for s in d['streams'])" <<<"$telemetry") repeats ignored"
