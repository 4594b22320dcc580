# shellcheck shell=bash disable=SC2154
# The director: nothing runs that it did not sign for this gateway, whoever holds the connection.

step "a director repository"
start controller "$bin/skerry-controller" --config "$work/controller.toml"
within 20 "the controller answers" fleet info
fleet pull-trust "$work/office" >/dev/null
# The thief's list stays published as it is; the team signs a clean one on top of it.
fleet info --director-key-out "$work/keys/director.json" 2>/dev/null
"$skerry" keys create "$work/keys/director-root.pem" >/dev/null
"$skerry" repo init "$work/director" --director --root-key "$work/keys/director-root.pem" \
  --online-key "$work/keys/director.json" >/dev/null
if fleet publish "$work/director" --repository director >"$work/out" 2>&1; then
  fail "an unsigned director root was published"
fi
want "$(cat "$work/out")" threshold_not_met "the missing signature is named"
"$skerry" repo sign "$work/director" --key "$work/keys/director-root.pem" >/dev/null
fleet publish "$work/director" --repository director >"$work/out"
want "$(cat "$work/out")" 'director root 1' "the director's root is published"
want "$(fleet info)" 'director: root 1' "fleet info says so"
note "a director root is signed and published" "root 1 by an offline key, the rest by the controller's director key"

step "a gateway that is pinned to it at enrolment"
write_gateway directed 1GiB
fleet token --note directed --out "$work/directed/token" 2>/dev/null
start directed "$bin/skerryd" --config "$work/directed/skerryd.toml"
within 20 "the gateway enrols and connects" sync_is directed connected
device=$(gateway directed status --json | json "d['sync']['device_id']")
make_model second beta/second
"$skerry" repo join "$work/beta-team" --root "$work/root.json" >/dev/null
fleet pull-trust "$work/beta-team" >/dev/null
fleet push "$work/packed/second" --sign --repo "$work/beta-team" --role beta --signing-key "$work/keys/beta.pem" >/dev/null 2>&1
fleet_within 60 rollout start models/beta/second/1.0.0 --slot default --device "$device" --watch >"$work/out" 2>&1 ||
  fail "a directed model is rolled out: $(cat "$work/out")"
[ "$(gateway directed run default --raw hello)" = hello ] || fail "the directed model answers"
note "image and director agree" "the pinned gateway verified both and answers"

step "a controller whose director key is not the root's"
stop controller TERM
mv "$work/controller/keys/director.pem" "$work/director.pem.kept"
forge desire "$work/controller/controller.db" models/beta/other/1.0.0 "sha256:$(sha256sum "$work/packed/other/manifest.json" | cut -d' ' -f1)"
start controller "$bin/skerry-controller" --config "$work/controller.toml"
refused() {
  gateway directed audit tail --json 2>/dev/null | grep -q 'director.refuse'
}
within 30 "an unsigned desired state is refused and audited" refused
[ "$(slot directed default "['active']['version']")" = 1.0.0 ] || fail "the gateway keeps its model"
[ "$(gateway directed run default --raw hello)" = hello ] || fail "and answers with it"
want "$(gateway directed status --json)" 'no director signed' "its status says why"
note "unsigned desired state is refused" "director.refuse in the audit log, the old model answers"

step "the director's key is back"
stop controller TERM
mv "$work/director.pem.kept" "$work/controller/keys/director.pem"
start controller "$bin/skerry-controller" --config "$work/controller.toml"
within 30 "what the director names and the image repository lacks is refused" slot_is directed default "['state']" REJECTED
want "$(slot directed default "['reason']")" 'models/beta/other' "the reason names the target"
[ "$(gateway directed run default --raw hello)" = hello ] || fail "the old model answers"
note "director alone is not enough" "models/beta/other: named by the director, listed by nobody, REJECTED"
stop directed TERM
stop controller TERM
