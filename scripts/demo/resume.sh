# shellcheck shell=bash disable=SC2154
# kill -9 in the middle of a download (slowed down, and not as a delta, so that there is a middle): verified chunks are not
# fetched again.

step "kill -9 in mid-download"
stop large TERM
write_gateway large 1GiB $'max_bytes_per_second = "256KiB"\ndelta = "never"'
start large "$bin/skerryd" --config "$work/large/skerryd.toml"
within 20 "large is back" sync_is large connected
# Weights that no gateway holds: another quantization of the same model, and the float one.
mkdir -p "$work/q6"
"$skerry" model quantize --input examples/models/log-triage/log-triage-f16.gguf --type q6_k \
  --output "$work/q6/log-triage-q6_k.gguf" >/dev/null
cp -r examples/models/log-triage "$work/new"
cp "$work/q6/log-triage-q6_k.gguf" "$work/new/"
sed -i '/^\[\[variant\]\]/,$d; s/^prefer = .*/prefer = ["q6_k"]/' "$work/new/model.toml"
printf '[[variant]]\nname = "q6_k"\nfile = "log-triage-q6_k.gguf"\n' >>"$work/new/model.toml"
pack "$work/new" 1.4.0 5 "$work/packed/new"
fleet push "$work/packed/new" "${signing[@]}" >/dev/null 2>&1
device=$(gateway large status --json | json "d['sync']['device_id']")
rollout=$(fleet rollout start models/acme/log-triage/1.4.0 --slot default --device "$device" --json | json "d['rollout_id']")
middle() {
  local fetched
  fetched=$(slot large default "['fetched_bytes']")
  [ "$fetched" -gt 1048576 ] && [ "$fetched" -lt "$(slot large default "['total_bytes']")" ]
}
within 20 "the download is in its middle" middle
fetched=$(slot large default "['fetched_bytes']")
stop large KILL
start large "$bin/skerryd" --config "$work/large/skerryd.toml"
within 20 "large answers again" gateway large status
within 60 "large runs 1.4.0" slot_is large default "['active']['version']" 1.4.0
reused=$(slot large default "['reused_bytes']")
total=$(slot large default "['total_bytes']")
[ "$reused" -ge 1048576 ] || fail "what was verified before the kill is not fetched again; reused $reused of $total"
note "kill -9 in mid-download" "killed at $fetched of $total bytes, $reused not fetched again, 1.4.0 runs"
fleet_within 60 rollout watch "$rollout" >"$work/out" 2>&1 || fail "the rollout ends well: $(cat "$work/out")"
