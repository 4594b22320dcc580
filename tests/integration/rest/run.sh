#!/usr/bin/env bash
# Encryption at rest with real processes: a controller and a gateway whose models lie encrypted. It is killed in the middle
# of an ingest, answers by a real engine, heals rot, serves a peer, moves its key, loses it, and is switched off and on
# again; at every step the state folder is searched for the models' bytes.
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
# shellcheck source=tests/integration/models.sh
. tests/integration/models.sh

offer() { # TARGET
  within 60 "a rollout of $1 starts" fleet rollout start "models/$1" --slot default --json
}

answers() {
  [ -n "$(gateway a run default --raw "hello")" ]
}

staged() { # at least so many KiB of the gateway's ingest are on the disk
  [ "$(du -sk "$work/a/state/staging" | cut -f1)" -ge "$1" ]
}

configure() { # ENCRYPTION KEY_URI SYNC
  write_gateway a 1GiB "$3
[storage]
encryption = \"$1\"
encryption_key = \"$2\""
  sed -i 's/^\[runtime\]/[runtime]\nsandbox = "best_effort"\nworker_user = ""/' "$work/a/skerryd.toml"
}

run_gateway() {
  start a "$bin/skerryd" --config "$work/a/skerryd.toml"
  within 30 "a connects" sync_is a connected
}

unconverted() {
  gateway a status --json | json "d.get('unconvertedBlobs', d.get('unconverted_blobs', 0))"
}

is_converted() {
  [ "$(unconverted)" = 0 ] && grep -q 'event=registry.converted' "$work/a.log"
}

step "a gateway that encrypts is killed in the middle of an ingest"
make_floats 1.0.0 1 24
configure on "file:$work/a/kek.pem" 'max_bytes_per_second = "4MiB"'
fleet token --note a --out "$work/a/token" 2>/dev/null
run_gateway
offer acme/big/1.0.0
# The file's space is reserved at once: what counts is what the log says was verified, so wait for some seconds of it.
within 30 "an ingest begins" staged 1000
sleep 2
no_plaintext a "$work/model-1.0.0/big.gguf" "in mid-ingest"
stop a KILL
no_plaintext a "$work/model-1.0.0/big.gguf" "after kill -9"
run_gateway
within 60 "a runs 1.0.0" runs a 1.0.0
size=$(stat -c %s "$work/model-1.0.0/big.gguf")
fetched=$(grep 'event=slot.fetched' "$work/a.log" | tail -n1 | grep -o 'fetched_bytes=[0-9]*' | cut -d= -f2)
[ "$fetched" -lt "$size" ] || fail "what was verified before the kill is not fetched again: $fetched of $size"
answers || fail "it answers"
no_plaintext a "$work/model-1.0.0/big.gguf" "while it runs"
want "$(gateway a status)" 'storage +encryption on' "the status says it"
[ "$(stat -c %a "$work/a/state/store.key")" = 600 ] || fail "store.key is the owner's alone"
note "kill -9 in mid-ingest, encrypted" "$fetched bytes of $size after the restart; no plain byte on the disk"

step "a real engine runs an encrypted model"
model=$work/model-triage
mkdir -p "$model"
cp examples/models/log-triage/log-triage-f16.gguf examples/models/log-triage/golden.jsonl "$model/"
cat >"$model/model.toml" <<TOML
model = "acme/log-triage"
version = "1.0.0"
release_counter = 1
format = "gguf"
runtime = "llamacpp"
files.golden = "golden.jsonl"
activation.probation = "1s"
activation.context_length = 512
[[variant]]
name = "f16"
file = "log-triage-f16.gguf"
ram = "64MiB"
TOML
"$skerry" model pack "$model" --out "$work/packed/triage" >/dev/null
push "$work/packed/triage"
offer acme/log-triage/1.0.0
within 60 "a runs the model" slot_is a default "['active']['name']" acme/log-triage
line=$(sed -n 1p examples/models/log-triage/golden.jsonl | json 'd["prompt"]')
expected=$(sed -n 1p examples/models/log-triage/golden.jsonl | json 'd["expect"]')
answer=$(gateway a run default --raw --temperature 0 "$line")
[ "$answer" = "$expected" ] || fail "a answers $expected; got $answer"
no_plaintext a "$model/log-triage-f16.gguf" "while llama.cpp runs it"
used=$(gateway a status --json | json "int(d.get('memoryUsedBytes', d.get('memory_used_bytes', 0)))")
[ "$used" -ge $((64 * 1048576 + 5282112)) ] || fail "the ledger counts the decrypted copy; got $used"
note "llama.cpp from a sealed memory file" "the golden set passed, same answer; ledger $used bytes"

step "rot in an encrypted file is found and healed"
hex=$(sha256sum "$model/log-triage-f16.gguf" | cut -c1-64)
blob=$work/a/state/blobs/sha256/${hex:0:2}/$hex.sealed
chmod u+w "$blob"
printf '\377%.0s' {1..16} | dd of="$blob" bs=1 seek=2000000 conv=notrunc 2>/dev/null
chmod 0440 "$blob"
scrub=$(gateway a registry scrub --json)
[ "$(json 'len(d["findings"])' <<<"$scrub")" -ge 1 ] || fail "the scrub finds it; got $scrub"
[ "$(json 'all(f["healed"] for f in d["findings"])' <<<"$scrub")" = True ] || fail "it is healed; got $scrub"
no_plaintext a "$model/log-triage-f16.gguf" "after it was healed"
note "rot is healed" "$(json 'd["findings"][0]["detail"]' <<<"$scrub")"

step "the key moves"
stop a TERM
"$skerry" registry rekey --state-dir "$work/a/state" --from "file:$work/a/kek.pem" --to "file:$work/a/new.pem" >"$work/out"
configure on "file:$work/a/kek.pem" ""
if "$bin/skerryd" --config "$work/a/skerryd.toml" >"$work/out" 2>&1; then
  fail "the old key is refused"
fi
want "$(cat "$work/out")" 'rekey --from' "the refusal says what to do"
rm "$work/a/kek.pem"
configure on "file:$work/a/new.pem" ""
run_gateway
within 30 "it answers with the new key" answers
note "the data key is wrapped anew" "no blob touched, the old wrapping key deleted"
key=file:$work/a/new.pem

if command -v swtpm >/dev/null; then
  step "the key moves into a TPM"
  mkdir "$work/tpm"
  for _ in $(seq 20); do
    tpm_port=$((20000 + RANDOM % 20000))
    swtpm socket --tpm2 --tpmstate "dir=$work/tpm" --server "type=tcp,port=$tpm_port,bindaddr=127.0.0.1" \
      --ctrl "type=tcp,port=$((tpm_port + 1)),bindaddr=127.0.0.1" --flags not-need-init,startup-clear \
      >>"$work/tpm.log" 2>&1 &
    pids[tpm]=$!
    sleep 0.5
    kill -0 "${pids[tpm]}" 2>/dev/null && break
  done
  export TPM2OPENSSL_TCTI=swtpm:port=$tpm_port TSS2_LOG=all+NONE
  stop a TERM
  "$skerry" registry rekey --state-dir "$work/a/state" --from "$key" --to "tpm:$work/a/store.tss" >"$work/out"
  key=tpm:$work/a/store.tss
  configure on "$key" ""
  run_gateway
  within 30 "it answers with the TPM's key" answers
  note "the key is in a TPM" "$(head -n1 "$work/a/store.tss")"
fi

step "a lost key costs the encrypted blobs and nothing else"
stop a TERM
rm "${key#*:}"
if "$bin/skerryd" --config "$work/a/skerryd.toml" >"$work/out" 2>&1; then
  fail "a lost key is no silent start"
fi
want "$(cat "$work/out")" 'rekey --lost' "the refusal says what to do"
"$skerry" registry rekey --state-dir "$work/a/state" --lost --to "file:$work/a/third.pem" >"$work/out"
configure on "file:$work/a/third.pem" ""
run_gateway
want "$(cat "$work/a.log")" 'event=registry.unreadable_removed' "what the lost key encrypted is removed"
[ "$(slot a default "['active']['version']")" = 1.0.0 ] || fail "the slot still knows what it runs"
within 60 "what it runs is fetched again" grep -q 'event=registry.lost_fetched' "$work/a.log"
answer=$(gateway a run default --raw --temperature 0 "$line")
[ "$answer" = "$expected" ] || fail "it answers again; got $answer"
make_floats 2.0.0 2 4
offer acme/big/2.0.0
within 60 "it takes models again" runs a 2.0.0
within 30 "and answers" answers
note "a lost key" "$(grep -o 'event=registry.unreadable_removed.*' "$work/a.log" | tail -n1)"

step "switched off, and on again"
stop a TERM
configure off "file:$work/a/third.pem" ""
: >"$work/a.log"
run_gateway
within 30 "all is decrypted" is_converted
hex=$(sha256sum "$work/model-2.0.0/big.gguf" | cut -c1-64)
cmp "$work/a/state/blobs/sha256/${hex:0:2}/$hex" "$work/model-2.0.0/big.gguf" || fail "the plain file is the model"
within 30 "it answers" answers
stop a TERM
configure on "file:$work/a/third.pem" ""
: >"$work/a.log"
run_gateway
within 30 "all is encrypted" is_converted
within 30 "it answers" answers
no_plaintext a "$work/model-2.0.0/big.gguf" "after the conversion"
note "switched off and on" "$(grep -o 'event=registry.converted.*' "$work/a.log" | tail -n1)"

step "a decommissioned gateway keeps no key"
gateway a decommission a --reason "end of test" --yes >"$work/out" 2>&1 || fail "decommission: $(cat "$work/out")"
within 30 "the daemon ended" test -e "$work/a/state/decommissioned.json"
[ ! -e "$work/a/state/store.key" ] || fail "store.key is gone"
note "decommission" "store.key overwritten and deleted"

finish >/dev/null
echo "1..${#shown[@]}"
