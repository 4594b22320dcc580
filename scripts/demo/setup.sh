# shellcheck shell=bash disable=SC2034,SC2154
# The controller, offline keys and the repository of what may exist.

step "controller, keys, repository"
controller_port=$(free_port)
gateway_port=$controller_port
mkdir -p "$work/controller"
write_controller() {
  cat >"$work/controller.toml" <<TOML
[state]
directory = "$work/controller"
[server]
listen = "127.0.0.1:$1"
names = ["localhost", "127.0.0.1"]
[rollout]
offline_after = "5s"
TOML
}
write_controller "$controller_port"
start controller "$bin/skerry-controller" --config "$work/controller.toml"
within 20 "the controller makes its operator's certificate" test -s "$work/controller/operator/operator.crt"
within 20 "the controller answers" fleet info

for key in root-1 root-2 root-3; do
  "$skerry" keys create "$work/keys/$key.pem" >/dev/null
done
"$skerry" keys create "$work/keys/targets-2.pem" --algorithm ecdsa-p256 >/dev/null
"$skerry" keys create "$work/keys/targets-1.pem" >/dev/null
fleet info --online-key-out "$work/keys/online.json" 2>/dev/null
"$skerry" repo init "$work/repo" --root-key "$work/keys/root-1.pem" --root-key "$work/keys/root-2.pem" \
  --root-key "$work/keys/root-3.pem" --root-threshold 2 --targets-key "$work/keys/targets-1.pem" \
  --targets-key "$work/keys/targets-2.pem" --targets-threshold 2 --online-key "$work/keys/online.json" >/dev/null
if fleet publish "$work/repo" >"$work/out" 2>&1; then
  fail "unsigned metadata was published"
fi
want "$(cat "$work/out")" 'threshold_not_met' "publishing without signatures names the missing threshold"
"$skerry" repo sign "$work/repo" --role root --key "$work/keys/root-1.pem" --key "$work/keys/root-2.pem" >/dev/null
"$skerry" repo sign "$work/repo" --role targets --key "$work/keys/targets-1.pem" --key "$work/keys/targets-2.pem" >/dev/null
fleet publish "$work/repo" >/dev/null
"$skerry" repo root "$work/repo" --out "$work/root.json" 2>/dev/null
note "keys, repository, controller" "root and targets 2 of n signed, unsigned ones refused"
