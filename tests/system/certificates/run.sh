#!/usr/bin/env bash
# The life of certificates and devices with the real programs: renewal at half life, an expired certificate that renews itself,
# kill -9 in between, a change of the certificate authority with a gateway that slept through it, revocation, a copied disk,
# decommissioning with and without a network. Certificates live for seconds here.
set -euo pipefail
cd "$(dirname "$0")/../../.."
export SKERRY_BUILD=${SKERRY_BUILD:-$PWD/build/release}
export keep=--tap
# shellcheck source=scripts/demo/lib.sh
. scripts/demo/lib.sh

# controller_with LIFE POLICY: its configuration; takes effect at the next start.
controller_port=$(free_port)
controller_with() {
  mkdir -p "$work/controller"
  cat >"$work/controller.toml" <<TOML
[state]
directory = "$work/controller"
[server]
listen = "127.0.0.1:$controller_port"
names = ["localhost", "127.0.0.1"]
[identity]
device_certificate = "$1"
on_clone = "$2"
TOML
}
run_controller() {
  start controller "$bin/skerry-controller" --config "$work/controller.toml"
  within 20 "the controller answers" fleet info
}
restart_controller() {
  stop controller TERM
  run_controller
}
run_gateway() {
  start "$1" "$bin/skerryd" --config "$work/$1/skerryd.toml"
}
enrol() {
  write_gateway "$1" 64MiB 'renewal_spread = "1s"'
  fleet token --note "$1" --out "$work/$1/token" 2>/dev/null
  run_gateway "$1"
  within 20 "$1 enrols and connects" sync_is "$1" connected
}
device_id() {
  json "d['device_id']" <"$work/$1/state/identity.json"
}
# said NAME TIMES PATTERN: the log of NAME has PATTERN at least so often.
said() {
  [ "$(grep -Ec -- "$3" "$work/$1.log")" -ge "$2" ]
}
authorities_of() {
  json "d['trust_bundle_pem'].count('BEGIN CERTIFICATE')" <"$work/$1/state/identity.json"
}
trusts() {
  [ "$(authorities_of "$1")" = "$2" ]
}
device() {
  fleet devices --json "$(device_id "$1")" | json "d['devices'][0].get('$2', '')"
}
server_issuer() {
  (openssl s_client -alpn h2 -connect "127.0.0.1:$controller_port" </dev/null 2>/dev/null || true) | openssl x509 -noout -issuer
}
is_flagged() {
  device "$1" clone_flag | grep -q fork
}
device_is() {
  [ "$(device "$1" "$2")" = "$3" ]
}

step "renewal"
controller_with 12s alert
start controller "$bin/skerry-controller" --config "$work/controller.toml"
within 20 "the controller makes its operator's certificate" test -s "$work/controller/operator/operator.crt"
within 20 "the controller answers" fleet info
mkdir -p "$work/keys"
"$skerry" keys create "$work/keys/root.pem" >/dev/null
fleet info --online-key-out "$work/keys/online.json" 2>/dev/null
"$skerry" repo init "$work/repo" --root-key "$work/keys/root.pem" --targets-key "$work/keys/root.pem" \
  --online-key "$work/keys/online.json" >/dev/null
"$skerry" repo sign "$work/repo" --key "$work/keys/root.pem" >/dev/null
"$skerry" repo root "$work/repo" --out "$work/root.json" 2>/dev/null
enrol one
id=$(device_id one)
within 20 "the certificate is renewed at half of its life" said one 1 'event=certificate.renewed .*half of its life'
within 20 "the gateway connects with the new one" sync_is one connected
within 10 "the former key is deleted" test ! -e "$work/one/state/keys/device.pem"
[ "$(device_id one)" = "$id" ] || fail "the device kept its id"
want "$(gateway one audit tail --json)" 'certificate.renew' "the device's audit log has the renewal"
want "$(fleet audit --json)" 'device.renew' "the controller's audit log has the renewal"
note "renewal at half life" "new key, same device, audited on both sides"

step "an expired certificate"
stop one KILL
sleep 14
run_gateway one
within 20 "the gateway comes back" sync_is one connected
said one 1 'event=certificate.renewed .*ended at' || fail "it renewed an expired certificate"
note "expired certificate" "renewed itself with proof of its key"

step "kill -9 around renewals"
for _ in 1 2 3 4; do
  sleep "$((RANDOM % 5)).$((RANDOM % 10))"
  stop one KILL
  run_gateway one
  within 20 "the gateway has a working identity" sync_is one connected
done
[ "$(device_id one)" = "$id" ] || fail "the device kept its id"
note "kill -9 around renewals" "a working identity each time"

step "a new certificate authority"
controller_with 400d alert
restart_controller
within 20 "the gateway has a long certificate" sync_is one connected
enrol sleeper
stop sleeper TERM
fleet ca rotate >/dev/null
within 20 "the connected gateway trusts both" trusts one 2
within 30 "it renews with the new authority" said one 1 'event=certificate.renewed .*newer certificate authority'
within 20 "the gateway is still connected" sync_is one connected
before=$(server_issuer)
fleet ca retire 1 >/dev/null
want "$(fleet ca show)" '2 +issuing' "the second authority issues"
server_changed() {
  [ "$(server_issuer)" != "$before" ]
}
within 10 "the server's certificate changes without a restart" server_changed
stop one TERM
run_gateway one
within 30 "the gateway follows" sync_is one connected
within 20 "it trusts the new authority alone" trusts one 1
run_gateway sleeper
within 30 "the one that slept through it comes back" sync_is sleeper connected
said sleeper 1 'event=certificate.renewed .*was retired' || fail "the sleeper renewed a retired authority's certificate"
trusts sleeper 1 || fail "the sleeper trusts the new authority alone"
note "new certificate authority" "overlap, retirement, and a gateway that slept through both"

step "revocation"
fleet revoke "$id" --reason "lost in the post" >/dev/null
within 20 "the gateway is cut off" sync_is one refused
device_is one standing revoked || fail "the controller says so"
sleep 2
sync_is one refused || fail "it stays out"
want "$(gateway one status --json)" 'revoked' "the gateway knows why"
fleet reinstate "$id" >/dev/null
within 30 "the gateway is back" sync_is one connected
note "revocation" "cut off at once, refused, reinstated"

step "a copied disk"
stop one TERM
cp -a "$work/one/state" "$work/copy.state"
run_gateway one
within 20 "the original goes on" sync_is one connected
# Its new nonce is confirmed a moment after the hello.
sleep 1
stop one TERM
write_gateway copy 64MiB
mv "$work/copy.state" "$work/copy/state"
cp "$work/one/policy.json" "$work/copy/policy.json"
run_gateway copy
within 20 "the copy connects" sync_is copy connected
within 10 "the copy is noticed" is_flagged one
want "$(fleet audit --json)" 'device.clone_suspected' "the suspicion is audited"
stop copy TERM
controller_with 400d quarantine
restart_controller
run_gateway one
within 20 "the original, which has been overtaken, is refused too" sync_is one refused
device_is one standing quarantined || fail "the device is in quarantine"
fleet reinstate "$id" >/dev/null
within 30 "an operator decides which one it is" sync_is one connected
stop one TERM
run_gateway one
within 20 "and it stays so" sync_is one connected
device_is one clone_flag "" || fail "nothing is suspected any more"
note "copied disk" "noticed, audited, in quarantine by policy, reinstated"

step "decommissioning"
if fleet decommission "$id" >/dev/null 2>&1; then
  fail "decommissioning wants --yes"
fi
pid=${pids[one]}
fleet decommission "$id" --reason "sold" --yes >/dev/null
within 30 "the gateway ends" eval '! kill -0 '"$pid"' 2>/dev/null'
unset "pids[one]"
left=$(find "$work/one/state" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | tr '\n' ' ')
[ "$left" = "decommissioned.json skerryd.lock " ] || fail "keys and data are deleted; left: $left"
[ "$(fleet devices --json "$id" | json "d['devices'][0]['standing']")" = decommissioned ] || fail "the record says so"
timeout 20 "$bin/skerryd" --config "$work/one/skerryd.toml" >>"$work/one.log" 2>&1 || fail "it does not start again"
note "decommissioning" "ordered, keys and data deleted, record kept"

step "decommissioning without a network"
within 20 "the sleeper is connected" sync_is sleeper connected
stop controller TERM
if gateway sleeper decommission another --yes >/dev/null 2>&1; then
  fail "the wrong name is refused"
fi
pid=${pids[sleeper]}
gateway sleeper decommission sleeper --reason "end of lease" --yes >/dev/null
within 30 "the gateway ends" eval '! kill -0 '"$pid"' 2>/dev/null'
unset "pids[sleeper]"
[ ! -e "$work/sleeper/state/keys" ] || fail "its keys are deleted"
grep -q "end of lease" "$work/sleeper/state/decommissioned.json" || fail "the record is kept"
note "decommissioning without a network" "skerry decommission on the gateway"
finish
