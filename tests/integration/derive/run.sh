#!/usr/bin/env bash
# Re-derivation with real processes: a gateway that holds the F16 weights of a model makes its Q8_0 variant by the pinned
# quantizer instead of fetching it; a recipe that lies costs the attempt alone; the same bytes come out of one thread and two.
#   run.sh   prints TAP
set -euo pipefail
cd "$(dirname "$0")/../../.."
root=$PWD
export SKERRY_BUILD=${SKERRY_BUILD:-$root/build/release}
export keep=--tap
# shellcheck source=scripts/demo/lib.sh
. scripts/demo/lib.sh
# shellcheck source=scripts/demo/setup.sh
. scripts/demo/setup.sh

source=$work/source
mkdir -p "$source"
cp examples/models/log-triage/log-triage-f16.gguf examples/models/log-triage/golden.jsonl "$source/"

describe() { # PREFER VARIANT…
  local prefer=$1
  shift
  cat >"$source/model.toml" <<TOML
model = "acme/log-triage"
version = "1.0.0"
release_counter = 1
format = "gguf"
runtime = "llamacpp"
prefer = [$prefer]
[files]
golden = "golden.jsonl"
[activation]
probation = "1s"
context_length = 512
golden_min_pass = 0.5
[[variant]]
name = "f16"
file = "log-triage-f16.gguf"
TOML
  for variant in "$@"; do
    printf '[[variant]]\nname = "%s"\nquantize = "%s"\n' "$variant" "$variant" >>"$source/model.toml"
  done
}

push() { # VERSION COUNTER
  "$skerry" model pack "$source" --set-version "$1" --release-counter "$2" --derived "$work/derived" --out "$work/packed/$1" >/dev/null
  fleet push "$work/packed/$1" --sign --repo "$work/repo" --signing-key "$work/keys/targets-1.pem" \
    --signing-key "$work/keys/targets-2.pem" >/dev/null 2>&1
  within 60 "a rollout of $1 starts" fleet rollout start "models/acme/log-triage/$1" --slot default --json
}

runs() { # GATEWAY VERSION VARIANT
  slot_is "$1" default "['active']['version']" "$2" && slot_is "$1" default "['active']['variant']" "$3"
}

fetched_bytes() { # GATEWAY: of its last fetch
  grep 'event=slot.fetched' "$work/$1.log" | tail -n1 | grep -o 'fetched_bytes=[0-9]*' | cut -d= -f2
}

link_bytes() { # GATEWAY: blobs over the link so far
  gateway "$1" status --json | json "int(d.get('link', {}).get('day_bytes', 0))"
}

blob_of() { # GATEWAY FILE
  local hex
  hex=$(sha256sum "$2" | cut -c1-64)
  echo "$work/$1/state/blobs/sha256/${hex:0:2}/$hex"
}

step "the quantizer gives the same bytes with one thread and two"
describe '"q8_0", "f16"' q8_0 q4_k_m
"$skerry" model quantize "$source" --out "$work/derived" >/dev/null
for type in q8_0 q4_k_m; do
  for threads in 1 2; do
    "$skerry" model quantize --input "$source/log-triage-f16.gguf" --type $type --threads $threads \
      --output "$work/$type-$threads.gguf" >/dev/null
  done
  cmp "$work/$type-1.gguf" "$work/$type-2.gguf" || fail "$type depends on the number of threads"
done
recipe=$(cat "$work"/derived/*q8_0*.recipe)
want "$recipe" "^sha256:[0-9a-f]{64} sha256:[0-9a-f]{64} llamacpp [^ ]+ q8_0$" "the recipe is noted"
note "deterministic" "q8_0 and q4_k_m: 1 thread = 2 threads; ${recipe#* }"

step "a gateway that holds F16 makes Q8_0 itself"
describe '"f16"'
write_gateway a 1GiB ""
sed -i 's/^\[sync\]/[sync]\ndelta = "always"/; s/^\[runtime\]/[runtime]\nsandbox = "best_effort"\nworker_user = ""/' "$work/a/skerryd.toml"
fleet token --note a --out "$work/a/token" 2>/dev/null
start a "$bin/skerryd" --config "$work/a/skerryd.toml"
within 30 "a connects" sync_is a connected
push 1.0.0 1
within 60 "a runs f16" runs a 1.0.0 f16
describe '"q8_0", "f16"' q8_0
before=$(link_bytes a)
push 1.1.0 2
within 60 "a runs q8_0" runs a 1.1.0 q8_0
want "$(cat "$work/a.log")" 'event=derive.made' "it was made here"
made=$(ls "$work"/derived/*q8_0*.gguf)
cmp "$(blob_of a "$made")" "$made" || fail "the bytes are those that were pushed"
wire=$(($(link_bytes a) - before))
[ "$(fetched_bytes a)" -le 1024 ] || fail "at most 1 kB is fetched; got $(fetched_bytes a)"
[ "$wire" -le 1024 ] || fail "at most 1 kB comes over the link; got $wire"
line=$(sed -n 1p "$source/golden.jsonl" | json 'd["prompt"]')
[ -n "$(gateway a run default --raw --temperature 0 "$line")" ] || fail "it answers"
note "q8_0 derived" "$wire bytes of blobs over the link for a file of $(stat -c %s "$made"); $(grep -o 'milliseconds=[0-9]*' <<<"$(grep derive.made "$work/a.log")")"

step "a recipe that lies costs the attempt alone"
describe '"q4_k_m", "f16"' q4_k_m
sed -i 's/ q4_k_m$/ q4_0/' "$work"/derived/*q4_k_m*.recipe
push 1.2.0 3
within 60 "a runs q4_k_m" runs a 1.2.0 q4_k_m
want "$(grep 'event=derive.failed' "$work/a.log")" 'size_mismatch|digest_mismatch' "the lie was noticed"
made=$(ls "$work"/derived/*q4_k_m*.gguf)
cmp "$(blob_of a "$made")" "$made" || fail "the bytes are right"
[ "$(fetched_bytes a)" -gt 1024 ] || fail "it was fetched"
note "a lie is refused" "$(grep -o 'event=derive.failed.*' "$work/a.log" | head -c 140); fetched $(fetched_bytes a) bytes"

# The recipe's type "stall" of the null engine writes half of a result and never ends: a derivation that is under way for as long
# as it takes to cancel it.
step "a derivation is cancelled"
results() { # PID GATEWAY: the results without a name that a process has open
  find "/proc/$1/fd" \( -lname "$work/$2/state/staging/*(deleted)" -o -lname "/memfd:skerry-derived*" \) 2>/dev/null
}
quantizers() { # GATEWAY: the workers that write one
  local pid
  for pid in $(pgrep -x skerry-worker); do
    [ -z "$(results "$pid" "$1")" ] || echo "$pid"
  done
}
deriving() { # GATEWAY: half of the result is written
  local pid
  pid=$(quantizers "$1" | head -n1)
  [ -n "$pid" ] && [ "$(results "$pid" "$1" | xargs stat -L -c %s | sort -n | tail -n1)" -gt 1000000 ]
}
gone() { # GATEWAY: no worker, no result without a name, nothing in staging
  [ -z "$(quantizers "$1")" ] && [ -z "$(results "${pids[$1]:-none}" "$1")" ] && [ -z "$(find "$work/$1/state/staging" -type f)" ]
}
stall() { # VERSION COUNTER TYPE: a variant whose recipe does not end
  describe "\"$3\", \"f16\"" "$3"
  "$skerry" model quantize "$source" --out "$work/derived" >/dev/null
  recipe=$(ls "$work"/derived/*"$3"*.recipe)
  cp "$recipe" "$work/recipe"
  sed -i -E "s/ llamacpp [^ ]+ $3\$/ null 1 stall/" "$recipe"
  push "$1" "$2"
  cp "$work/recipe" "$recipe"
}
give_up() { # VERSION: its rollout ends; the gateway goes on until something newer is directed
  local id
  id=$(fleet rollout list --json | json "next(r['rollout_id'] for r in d['rollouts'] if r['target'].endswith('/$1'))")
  fleet rollout abort "$id" >/dev/null
}
stall 1.3.0 4 q6_k
within 60 "the derivation is under way" deriving a
describe '"f16"'
give_up 1.3.0
push 1.4.0 5
within 60 "a newer generation cancels it, and runs" runs a 1.4.0 f16
within 10 "nothing is left of it" gone a
note "cancelled by a newer generation" "no worker, no file, 1.4.0 runs"

step "a stop, and a kill, while it is derived"
stall 1.5.0 6 q6_k
within 60 "the derivation is under way" deriving a
derived_by=$(quantizers a)
stopping=$(date +%s%N)
stop a TERM
took=$((($(date +%s%N) - stopping) / 1000000))
[ "$took" -lt 10000 ] || fail "the daemon stops without waiting for it; it took $took ms"
for pid in $derived_by; do [ ! -e "/proc/$pid/fd/0" ] || fail "its worker $pid lives on"; done
[ -z "$(find "$work/a/state/staging" -type f)" ] || fail "a file is left"
start a "$bin/skerryd" --config "$work/a/skerryd.toml"
within 60 "the next start takes it up again" deriving a
kill -9 "${pids[a]}"
wait "${pids[a]}" 2>/dev/null || true
unset "pids[a]"
within 10 "its worker goes with the daemon" gone a
# The next start runs what it ran, and derives what has a true recipe.
start a "$bin/skerryd" --config "$work/a/skerryd.toml"
within 30 "a is back" sync_is a connected
runs a 1.4.0 f16 || fail "a runs what it ran"
made_before=$(grep -c 'event=derive.made' "$work/a.log")
give_up 1.5.0
push 1.6.0 7
within 60 "a derives q6_k" runs a 1.6.0 q6_k
[ "$(grep -c 'event=derive.made' "$work/a.log")" -gt "$made_before" ] || fail "it was made here"
[ "$(fetched_bytes a)" -le 1024 ] || fail "at most 1 kB is fetched; got $(fetched_bytes a)"
within 10 "nothing is left" gone a
gateway a registry scrub >"$work/scrub" 2>&1 || fail "what is stored is whole: $(cat "$work/scrub")"
note "stopped and killed in the middle" "stopped in $took ms; nothing left; the next start derives q6_k"

step "no memory to derive in"
printf 'MemTotal: 2097152 kB\nMemFree: 1024 kB\nMemAvailable: 20480 kB\n' >"$work/meminfo"
if unshare -m mount --bind "$work/meminfo" /proc/meminfo 2>/dev/null; then
  stop a TERM
  # shellcheck disable=SC2016
  start a unshare -m sh -c 'mount --bind "$1" /proc/meminfo && exec "$2" --config "$3"' sh "$work/meminfo" "$bin/skerryd" "$work/a/skerryd.toml"
  within 30 "a is back" sync_is a connected
  describe '"q5_k_m", "f16"' q5_k_m
  "$skerry" model quantize "$source" --out "$work/derived" >/dev/null
  push 1.7.0 8
  within 60 "a runs q5_k_m" runs a 1.7.0 q5_k_m
  want "$(grep 'event=derive.failed' "$work/a.log" | tail -n1)" 'out_of_memory.*making it here takes about [0-9]+ MiB of memory, 20 MiB are available' \
    "the reason is told"
  [ "$(fetched_bytes a)" -gt 1024 ] || fail "it was fetched"
  note "no memory to derive in" "fetched $(fetched_bytes a) bytes instead: $(grep -o 'making it here[^(]*' "$work/a.log" | tail -n1)"
else
  note "no memory to derive in # SKIP no mount namespace" "skipped"
fi

step "an encrypted gateway derives in memory"
write_gateway b 1GiB ""
cat >>"$work/b/skerryd.toml" <<TOML
[storage]
encryption = "on"
encryption_key = "file:$work/b/kek.pem"
TOML
sed -i 's/^\[sync\]/[sync]\ndelta = "never"/; s/^\[runtime\]/[runtime]\nsandbox = "best_effort"\nworker_user = ""/' "$work/b/skerryd.toml"
fleet token --note b --out "$work/b/token" 2>/dev/null
start b "$bin/skerryd" --config "$work/b/skerryd.toml"
within 30 "b connects" sync_is b connected
describe '"f16"'
push 1.8.0 9
within 60 "b runs f16" runs b 1.8.0 f16
describe '"q8_0", "f16"' q8_0
push 1.9.0 10
within 60 "b runs q8_0" runs b 1.9.0 q8_0
want "$(cat "$work/b.log")" 'event=derive.made' "it was made there"
[ "$(fetched_bytes b)" -le 1024 ] || fail "at most 1 kB is fetched; got $(fetched_bytes b)"
made=$(ls "$work"/derived/*q8_0*.gguf)
[ -e "$(blob_of b "$made").sealed" ] || fail "it lies encrypted"
note "encrypted" "derived from a sealed copy, stored encrypted, $(fetched_bytes b) bytes fetched"

finish >/dev/null
echo "1..${#shown[@]}"
