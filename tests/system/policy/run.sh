#!/usr/bin/env bash
# What the security role signs, from its key to a gateway and back: a policy with its table of expectations, the network gone, a
# revocation that stops a running model, a permit to go back once, and root's way in when a policy locks everybody out.
set -euo pipefail
cd "$(dirname "$0")/../../.."
root=$PWD
export SKERRY_BUILD=${SKERRY_BUILD:-$root/build/release}
# Read by the parts below.
export keep=--tap

# shellcheck source=scripts/demo/lib.sh
. scripts/demo/lib.sh
# shellcheck source=scripts/demo/setup.sh
. scripts/demo/setup.sh

models=$SKERRY_BUILD/models
signing=(--sign --repo "$work/repo" --signing-key "$work/keys/targets-1.pem" --signing-key "$work/keys/targets-2.pem")
security=(--key "$work/keys/security.pem")
me=$(id -u)

# release VERSION COUNTER OPTION…: packs, signs and publishes acme/vibration.
release() {
  "$skerry" model pack examples/models/vibration --set-version "$1" --release-counter "$2" --out "$work/packed/$1" \
    --derived "$models/vibration" >/dev/null
  fleet push "$work/packed/$1" "${signing[@]}" "${@:3}" >/dev/null 2>&1
}

roll_out() {
  fleet_within 60 rollout start "models/acme/vibration/$1" --slot default --canary 1 --watch >"$work/out" 2>&1
}

source_is() {
  [ "$(gateway one status --json 2>/dev/null | json "d['policy_source'] + ' ' + d['policy_version']")" = "$1" ]
}

audit_has() {
  gateway one audit tail --last 400 --json 2>/dev/null | grep -q "$1"
}

# policy VERSION UID: who may do everything on the gateway.
policy() {
  cat >"$work/policy-$1.json" <<JSON
{"format": "skerry-policy/1", "version": $1,
 "roles": [
  {"name": "owner", "rules": [{"id": "all", "verbs": ["infer", "embed", "tokenize", "list", "load", "unload", "admin.*", "audit.*", "metrics.read"]}]},
  {"name": "app", "rules": [{"id": "answers", "verbs": ["infer"], "models": ["acme/*"]}]}],
 "bindings": [
  {"name": "owners", "role": "owner", "subjects": ["uid:$2"]},
  {"name": "apps", "role": "app", "subjects": ["token:app"]}]}
JSON
}

step "the security role"
"$skerry" keys create "$work/keys/security.pem" >/dev/null
"$skerry" repo delegate "$work/repo" security --key "$work/keys/security.pem" --path 'security/*' \
  --path 'security/policy/*' >/dev/null
"$skerry" repo sign "$work/repo" --key "$work/keys/targets-1.pem" --key "$work/keys/targets-2.pem" >/dev/null
"$skerry" repo sign "$work/repo" "${security[@]}" >/dev/null
fleet publish "$work/repo" >/dev/null
write_gateway one 1GiB
fleet token --note one --out "$work/one/token" 2>/dev/null
start one "$bin/skerryd" --config "$work/one/skerryd.toml"
within 20 "the gateway connects" sync_is one connected
source_is "local 1" || fail "the gateway begins with its local policy; got $(gateway one status)"
release 1.0.0 1
roll_out 1.0.0 || fail "1.0.0 is taken: $(cat "$work/out")"
release 1.1.0 2
roll_out 1.1.0 || fail "1.1.0 is taken: $(cat "$work/out")"
note "security role" "delegated and published; the gateway runs 1.1.0 by its local policy"

step "a policy that does not say what it is meant to"
policy 2 "$me"
cat >"$work/table.toml" <<TOML
format = "skerry-policy-expectations/1"
[[expect]]
principal = "uid:$me"
verb = "admin.policy.write"
decision = "allow"
rule = "all"
[[expect]]
principal = "token:app"
verb = "admin.status"
decision = "deny"
rule = "none"
[[expect]]
principal = "token:app"
verb = "infer"
resource = "acme/vibration"
decision = "allow"
TOML
sed "s/uid:$me/uid:4242/" "$work/policy-2.json" >"$work/wrong.json"
if "$skerry" policy publish "$work/repo" "$work/wrong.json" --expect "$work/table.toml" "${security[@]}" >"$work/out" 2>&1; then
  fail "a policy that misses an expectation is not staged"
fi
want "$(cat "$work/out")" "MISS .*table.toml:3: uid:$me admin.policy.write" "the missed row is named"
note "expectations first" "$(grep -m1 MISS "$work/out" | sed "s#$work/##g" | cut -c1-100)"

step "a signed policy"
"$skerry" policy publish "$work/repo" "$work/policy-2.json" --expect "$work/table.toml" "${security[@]}" >/dev/null 2>&1
fleet publish "$work/repo" >/dev/null
within 20 "the gateway takes the signed policy" source_is "signed 2"
audit_has policy.take_signed || fail "the audit log tells of the policy"
if gateway one policy set "$work/policy-2.json" >"$work/out" 2>&1; then
  fail "a local policy must not replace a signed one"
fi
want "$(cat "$work/out")" 'failed_precondition.*signed policy' "the refusal says why"
if "$skerry" policy publish "$work/repo" "$work/wrong.json" "${security[@]}" >"$work/out" 2>&1; then
  fail "the same version with other content is not staged"
fi
want "$(cat "$work/out")" 'rollback' "an older policy is refused before it is signed"
note "signed policy" "version 2 in force, a local one refused, audit has intent and outcome"

step "without the network"
stop controller TERM
stop one KILL
start one "$bin/skerryd" --config "$work/one/skerryd.toml"
within 20 "the gateway starts with the policy it verified" source_is "signed 2"
slot_is one default "['active']['version']" 1.1.0 || fail "1.1.0 still runs"
note "offline from start to start" "kill -9, no controller: signed policy 2 in force, 1.1.0 runs"

step "a revocation that stops"
start controller "$bin/skerry-controller" --config "$work/controller.toml"
within 20 "the gateway comes back" sync_is one connected
"$skerry" repo revoke-model "$work/repo" --id cve-2026-7 --reason "poisoned weights" --effect stop --model acme/vibration \
  --version '1.1.*' "${security[@]}" >/dev/null 2>&1
fleet publish "$work/repo" >/dev/null
within 20 "1.1.0 is ended and 1.0.0 takes over" slot_is one default "['active']['version']" 1.0.0
want "$(slot one default "['reason']")" 'revoked.*cve-2026-7: poisoned weights' "the slot says why"
audit_has model.stop || fail "the audit log tells of the stop"
if roll_out 1.1.0; then
  fail "a revoked version must not come back"
fi
note "revocation with stop" "1.1.0 ended while it ran, 1.0.0 took over, a new rollout is refused"

step "an older version, once"
release 1.2.0 3
roll_out 1.2.0 || fail "1.2.0 is taken: $(cat "$work/out")"
if roll_out 1.0.0; then
  fail "a lower release counter must be refused"
fi
want "$(cat "$work/out")" 'downgrade permit' "the refusal names what is needed"
"$skerry" repo permit-downgrade "$work/repo" --model acme/vibration --device '*' --from 3 --to 1 --reason "1.2.0 is slow" \
  "${security[@]}" >/dev/null 2>&1
fleet publish "$work/repo" >/dev/null
within 20 "the gateway has the permit" audit_has permits.take_signed
roll_out 1.0.0 || fail "with the permit it goes back: $(cat "$work/out")"
roll_out 1.2.0 || fail "forward needs no permit: $(cat "$work/out")"
if roll_out 1.0.0; then
  fail "a permit is good once"
fi
note "downgrade permit" "3 to 1 refused, permitted once, refused again"

step "revocations that stop nothing"
running=$(slot one default "['active']['version']")
"$skerry" repo revoke-model "$work/repo" --id note-1 --reason "a newer one is coming" --effect warn --model acme/vibration \
  --version "$running" "${security[@]}" >/dev/null 2>&1
"$skerry" repo revoke-model "$work/repo" --id hold-1 --reason "licence unclear" --effect block-new --model acme/vibration \
  --version '1.9.*' "${security[@]}" >/dev/null 2>&1
fleet publish "$work/repo" >/dev/null
within 20 "the gateway tells of the warning" audit_has 'note-1: a newer one is coming'
slot_is one default "['active']['version']" "$running" || fail "what is warned of goes on"
release 1.9.0 9
if roll_out 1.9.0; then
  fail "what is held back must not be installed"
fi
want "$(cat "$work/out")" 'hold-1: licence unclear' "the refusal says why"
slot_is one default "['active']['version']" "$running" || fail "$running still runs"
"$skerry" repo restore-model "$work/repo" --id hold-1 "${security[@]}" >/dev/null 2>&1
fleet publish "$work/repo" >/dev/null
within 60 "once the hold is taken back the version comes" roll_out 1.9.0
release 2.0.0 10 --not-after 2020-01-01
if roll_out 2.0.0; then
  fail "what has ended must not be installed"
fi
want "$(cat "$work/out")" 'may not be installed after 2020-01-01T00:00:00Z' "the refusal says so"
slot_is one default "['active']['version']" 1.9.0 || fail "1.9.0 still runs"
note "warn, block-new, not-after" "$running went on and was warned of; 1.9.0 was refused, then taken when the hold ended; 2.0.0 had ended"

step "root's way in"
if [ "$me" -eq 0 ]; then
  policy 3 4242
  "$skerry" policy publish "$work/repo" "$work/policy-3.json" "${security[@]}" >/dev/null 2>&1
  fleet publish "$work/repo" >/dev/null
  locked_out() { ! gateway one status; }
  within 20 "the new policy locks root out" locked_out
  gateway one policy break-glass --reason "policy 3 names nobody who is here" --for 2m >/dev/null
  want "$(gateway one status)" 'BREAK-GLASS bg-.* is on for' "status says so"
  want "$(gateway one policy break-glass --reason 'a second time, silently' 2>&1 || true)" 'failed_precondition' "time is not added"
  audit_has break_glass.use || fail "each use is recorded"
  policy 4 "$me"
  "$skerry" policy publish "$work/repo" "$work/policy-4.json" "${security[@]}" >/dev/null 2>&1
  fleet publish "$work/repo" >/dev/null
  within 20 "the repaired policy comes" source_is "signed 4"
  gateway one policy break-glass --end >/dev/null
  audit_has break_glass.end || fail "the end is recorded"
  want "$(gateway one status)" '^policy' "root administers by the policy again"
  gateway one audit verify >/dev/null || fail "the audit log verifies"
  note "break-glass" "root got in for minutes, on record, and repaired the policy"
else
  note "break-glass # SKIP needs root" "-"
fi
finish
