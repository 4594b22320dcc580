# shellcheck shell=bash disable=SC2034,SC2154
# A team's key, its own working copy, and what it may not sign.
# shellcheck source=tests/integration/models.sh
. tests/integration/models.sh

step "an office that delegates to two teams"
controller_port=$(free_port)
mkdir -p "$work/controller"
write_controller() {
  cat >"$work/controller.toml" <<TOML
[state]
directory = "$work/controller"
[server]
listen = "127.0.0.1:$controller_port"
names = ["localhost", "127.0.0.1"]
TOML
}
write_controller
start controller "$bin/skerry-controller" --config "$work/controller.toml"
within 20 "the controller makes its operator's certificate" test -s "$work/controller/operator/operator.crt"
within 20 "the controller answers" fleet info
for key in root targets acme beta; do
  "$skerry" keys create "$work/keys/$key.pem" >/dev/null
done
fleet info --online-key-out "$work/keys/online.json" 2>/dev/null
"$skerry" repo init "$work/office" --root-key "$work/keys/root.pem" --targets-key "$work/keys/targets.pem" \
  --online-key "$work/keys/online.json" >/dev/null
for team in acme beta; do
  "$skerry" repo delegate "$work/office" "$team" --key "$work/keys/$team.pem" --path "models/$team/*/*" >/dev/null
done
for key in root targets acme beta; do
  "$skerry" repo sign "$work/office" --key "$work/keys/$key.pem" >/dev/null
done
fleet publish "$work/office" >/dev/null
"$skerry" repo root "$work/office" --out "$work/root.json" 2>/dev/null
note "two teams are delegated to" "models/acme/*/* and models/beta/*/*, published by the controller"

step "a team signs its own model"
# A model for the engine that echoes: its weights only have to be well-formed.
make_model() {
  mkdir -p "$work/$1"
  cp tests/fuzz/gguf/corpus/llama "$work/$1/weights.gguf"
  cat >"$work/$1/model.toml" <<TOML
model = "$2"
version = "1.0.0"
release_counter = 1
description = "echo"
format = "gguf"
runtime = "null"
[[variant]]
name = "raw"
file = "weights.gguf"
TOML
  "$skerry" model pack "$work/$1" --out "$work/packed/$1" >/dev/null
}
make_model echo acme/echo
make_model other beta/other
"$skerry" repo join "$work/team" --root "$work/root.json" >/dev/null
fleet pull-trust "$work/team" >/dev/null
fleet push "$work/packed/echo" --sign --repo "$work/team" --role acme --signing-key "$work/keys/acme.pem" >/dev/null 2>&1
write_gateway gateway 1GiB
connect gateway
fleet_within 60 rollout start models/acme/echo/1.0.0 --slot default --canary 1 --watch >"$work/out" 2>&1 ||
  fail "the team's model is rolled out: $(cat "$work/out")"
[ "$(gateway gateway run default --raw hello)" = hello ] || fail "the team's model answers"
note "a team's key signs its model" "acme's own working copy, 2.acme.json, and the gateway answers with it"

step "the team signs another team's path"
if "$skerry" repo add "$work/team" "$work/packed/other/manifest.json" --role acme >"$work/out" 2>&1; then
  fail "repo add must refuse another team's path"
fi
want "$(cat "$work/out")" permission_denied "the command line says why"
fleet push "$work/packed/other" >/dev/null 2>&1
# By hand, then: the next list of acme with a model of beta.
"$skerry" repo rotate "$work/team" --role acme >/dev/null
forge list "$work/team/staging/acme.json" models/beta/other/1.0.0 "$work/packed/other/manifest.json"
"$skerry" repo sign "$work/team" --key "$work/keys/acme.pem" >/dev/null
if fleet publish "$work/team" >"$work/out" 2>&1; then
  fail "the controller must refuse another team's path"
fi
want "$(cat "$work/out")" 'permission_denied.*models/beta/other/1.0.0' "the controller says why"
note "it cannot sign for others" "repo add and the controller refuse models/beta/other (permission_denied)"

step "the same with a stolen controller"
stop controller TERM
cp -r "$work/team" "$work/thief"
"$skerry" repo publish "$work/thief" --online-key "$work/controller/keys/online.pem" >/dev/null
forge serve "$work/controller/controller.db" image "$work/thief/metadata"
digest=sha256:$(sha256sum "$work/packed/other/manifest.json" | cut -d' ' -f1)
forge desire "$work/controller/controller.db" models/beta/other/1.0.0 "$digest"
start controller "$bin/skerry-controller" --config "$work/controller.toml"
refuses() {
  slot_is gateway default "['state']" REJECTED && slot gateway default "['reason']" | grep -q "$1"
}
within 30 "the gateway refuses beta's path by acme's key" refuses 'no role of the repository lists'
[ "$(gateway gateway run default --raw hello)" = hello ] || fail "what ran before still answers"
# And nothing else of a list that reaches for others' paths counts.
stop controller TERM
digest=sha256:$(sha256sum "$work/packed/echo/manifest.json" | cut -d' ' -f1)
forge desire "$work/controller/controller.db" models/acme/echo/1.0.0 "$digest"
start controller "$bin/skerry-controller" --config "$work/controller.toml"
within 30 "the gateway refuses the list that reaches for others' paths" refuses "which is not its own"
[ "$(gateway gateway run default --raw hello)" = hello ] || fail "what ran before still answers"
audited() {
  gateway gateway audit tail --json 2>/dev/null | grep -q 'model.refuse'
}
within 20 "the refusal is in the audit log" audited
note "nor with a stolen controller" "served and desired, REJECTED by the gateway and audited; the old model answers"
stop gateway TERM
stop controller TERM
