# shellcheck shell=bash disable=SC2154
# Real quantized models are signed, pushed and rolled out; each gateway proves and picks its own variant.

models=$SKERRY_BUILD/models
signing=(--sign --repo "$work/repo" --signing-key "$work/keys/targets-1.pem" --signing-key "$work/keys/targets-2.pem")

# pack MODEL VERSION COUNTER OUT [option…]
pack() {
  "$skerry" model pack "$1" --set-version "$2" --release-counter "$3" --out "$4" "${@:5}" >/dev/null
}

# roll_out TARGET SLOT: must end with every gateway committed.
roll_out() {
  fleet_within 60 rollout start "$1" --slot "$2" --canary 1 --watch >"$work/out" 2>&1 ||
    fail "the rollout of $1 ended: $(cat "$work/out")"
}

step "sign, push, roll out"
pack examples/models/log-triage 1.0.0 1 "$work/packed/log-1" --derived "$models/log-triage"
pack examples/models/vibration 1.0.0 1 "$work/packed/vib-1" --derived "$models/vibration"
pushed=$(fleet push "$work/packed/log-1" "${signing[@]}" 2>&1)
want "$pushed" 'published models/acme/log-triage/1.0.0' "the model is published"
again=$(fleet push "$work/packed/log-1" --json 2>&1)
[ "$(json "d['uploaded_bytes']" <<<"$again")" = 0 ] || fail "a second push uploads nothing; got $again"
fleet push "$work/packed/vib-1" "${signing[@]}" >/dev/null 2>&1
roll_out models/acme/log-triage/1.0.0 default
roll_out models/acme/vibration/1.0.0 vibration
note "sign and push" "2 models published, each upload once, canary then all"

large_variant=$(slot large default "['active']['variant']")
small_variant=$(slot small default "['active']['variant']")
if [ -z "$small_variant" ] || [ "$small_variant" = "$large_variant" ]; then
  fail "the small gateway takes another variant; both run '$large_variant'"
fi
why=$(slot small default "['variant_reasons']")
want "$why" "$large_variant.*(memory|RAM|ram|budget|MiB)" "the small gateway says why not $large_variant"
reason=$(slot small default "['variant_reasons']" | json "next(r for r in d if '$large_variant' in r)")
note "variant choice" "large runs $large_variant, small runs $small_variant: ${reason:0:90}"
