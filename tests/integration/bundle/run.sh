#!/usr/bin/env bash
# A gateway that never met a network is brought up by a stick: the commands of docs/bundles.md, a real skerryd, and what
# must be refused. Prints TAP.
#
#   run.sh BUNDLES.md BIN_DIR
set -eu
document=$(readlink -f "$1")
bin=$(readlink -f "$2")
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/system/tap.sh disable=SC1091
. "$here/../../system/tap.sh"
work=$(mktemp -d)
: >"$work/pid"
finish() {
  [ ! -s "$work/pid" ] || kill -9 "$(cat "$work/pid")" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT
cd "$work"
chmod 755 .
export PATH="$bin:$PATH"

# --- The office: a model on the image repository's list.
mkdir -p keys stick
for key in ann bob stick image; do skerry keys create "keys/$key.pem" >/dev/null; done
"$here/make_echo.py" packed 1.0.0 1
"$here/make_echo.py" packed2 2.0.0 2
skerry repo init image --root-key keys/image.pem --targets-key keys/image.pem --online-key keys/image.pem >/dev/null
skerry repo add image packed/manifest.json packed2/manifest.json >/dev/null
skerry repo sign image --key keys/image.pem >/dev/null
skerry repo publish image --online-key keys/image.pem >/dev/null

# The blocks of the document: 1 the repository, 2 the bundle, 3 taking it back.
block() {
  awk -v want="$1" '/^```sh$/ {n++; inside = (n == want); next} /^```$/ {inside = 0} inside' "$document" >"block$1.sh"
  sh -eux "block$1.sh" >"block$1.log" 2>&1 || { cat "block$1.log"; return 1; }
}
check "the offline repository is made as the document says" block 1
check "so is the bundle" block 2
check "inspect verifies it from the two roots" grep -q 'verified from the roots' block2.log
check "and reads every blob" grep -q 'every blob was read' block2.log

# --- The gateway: two roots from its factory, no controller.
cat >skerryd.toml <<TOML
state_dir = "$work/state"
[device]
name = "plant-a-7"
[trust]
root_file = "$work/image-root.json"
offline_root_file = "$work/offline-root.json"
[listen]
api_socket = "$work/api.sock"
admin_socket = "$work/admin.sock"
http_socket = "$work/http.sock"
admin_group = ""
[runtime]
sandbox = "best_effort"
worker_user = ""
TOML
# A process that nobody waits for stays as a zombie in some containers.
alive() { grep -q '^State:[[:space:]]*[^ZX]' "/proc/$(cat pid)/status" 2>/dev/null; }
start_daemon() {
  # `check` runs this in a subshell: the process is known by a file.
  skerryd --config skerryd.toml >log 2>&1 &
  echo $! >pid
  for _ in $(seq 600); do
    grep -q event=daemon.ready log && return 0
    alive || break
    sleep 0.1
  done
  cat log
  return 1
}
stop_daemon() {
  kill "-$1" "$(cat pid)"
  for _ in $(seq 600); do
    alive || break
    sleep 0.1
  done
  : >pid
}
gateway() { skerry --admin-socket "$work/admin.sock" --api-socket "$work/api.sock" "$@"; }
answer() {
  curl -sS --max-time 20 --unix-socket "$work/http.sock" http://x/v1/chat/completions -H 'content-type: application/json' \
    -d '{"model":"default","temperature":0,"messages":[{"role":"user","content":"hello stick"}]}'
}
# refused WORD COMMAND…: it fails and says why.
refused() {
  local word=$1 said
  shift
  if said=$("$@" 2>&1); then
    echo "it was taken: $said"
    return 1
  fi
  printf '%s\n' "$said"
  printf '%s\n' "$said" | grep -q -- "$word"
}
answers() {
  answer >answer.json
  cat answer.json
  grep -q "hello stick" answer.json
}

check "the gateway starts with pinned roots and no network" start_daemon
check "nothing answers yet" sh -c "! curl -s --unix-socket $work/http.sock http://x/v1/models | grep -q acme/echo"

# --- What must not be taken.
cp -r stick/plant-a broken
blob=$(find broken/blobs/sha256 -size +2000k | head -n 1)
printf x | dd of="$blob" bs=1 seek=1000000 conv=notrunc 2>/dev/null
cp -r stick/plant-a missing && rm "missing/blobs/sha256/$(basename "$blob")"
cp -r stick/plant-a extra && echo x >"extra/blobs/sha256/$(printf '0%.0s' $(seq 64))"
cp -r stick/plant-a linked && rm "linked/blobs/sha256/$(basename "$blob")" &&
  ln -s "$work/stick/plant-a/blobs/sha256/$(basename "$blob")" "linked/blobs/sha256/$(basename "$blob")"
cp -r stick/plant-a fifo && rm fifo/skerry-bundle/bundle.json && mkfifo fifo/skerry-bundle/bundle.json
cp -r stick/plant-a edited && sed -i 's/plant-a-\*/*/' edited/skerry-bundle/bundle.json
check "a bundle that lacks a blob is refused" refused 'lacks a blob' gateway bundle import missing
check "one with a blob too many is refused" refused 'does not list' gateway bundle import extra
check "one with a link out of it is refused" refused 'links' gateway bundle import linked
check "one with a FIFO in it is refused, and nothing hangs" refused 'no regular file' timeout 20 skerry --admin-socket "$work/admin.sock" bundle import fifo
check "an edited directive is refused" refused 'not the one that was signed' gateway bundle import edited
check "no folder is refused" refused 'no such\|No such' gateway bundle import nowhere
check "nothing of it answers" sh -c "! curl -s --unix-socket $work/http.sock http://x/v1/models | grep -q acme/echo"
# Sizes are right, bytes are not: found when they are copied, chunk by chunk.
check "changed weights are never activated" refused 'REJECTED\|digest_mismatch\|FETCHING' timeout 60 skerry --admin-socket "$work/admin.sock" bundle import broken
check "and nothing answers" sh -c "! curl -s --unix-socket $work/http.sock http://x/v1/models | grep -q acme/echo"

# --- The good one, with a power cut right after it was taken.
check "--check verifies and offers nothing" gateway bundle import --check stick/plant-a
gateway bundle import --no-wait stick/plant-a >first.txt
stop_daemon KILL
check "the gateway starts again after a kill -9" start_daemon
check "the same stick goes on" gateway --json bundle import stick/plant-a
check "the model answers" answers
gateway --json bundle import stick/plant-a >again.json
check "importing it once more changes nothing" grep -q '"offered_before": true' again.json
rm -rf unplugged && mv stick unplugged
stop_daemon TERM
check "it starts without the stick" start_daemon
check "and answers" answers
mv unplugged stick

# --- The next bundle, and the end of the first one.
skerry bundle create stick/plant-a2 --image image --offline offline --id plant-a.2 --device 'plant-a-*' --model packed2 \
  --signing-key keys/ann.pem --signing-key keys/bob.pem --online-key keys/stick.pem >/dev/null 2>&1
skerry bundle create stick/plant-b --image image --offline offline --id plant-b.1 --device 'plant-b-*' --model packed2 \
  --signing-key keys/ann.pem --signing-key keys/bob.pem --online-key keys/stick.pem >/dev/null 2>&1
check "a bundle for others is refused" refused 'other devices' gateway bundle import stick/plant-b
check "version 2 is taken" gateway bundle import stick/plant-a2
served() { gateway models list | grep -q "$1"; }
check "version 2 is active" served 2.0.0
check "and answers" answers
check "the older bundle is refused now" refused 'older than' gateway bundle import stick/plant-a
check "the first bundle is taken back as the document says" block 3
skerry bundle create stick/plant-a3 --image image --offline offline --id plant-a.3 --device 'plant-a-*' --model packed2 \
  --signing-key keys/ann.pem --signing-key keys/bob.pem --online-key keys/stick.pem >/dev/null 2>&1
check "a newer stick tells of it" gateway bundle import stick/plant-a3
check "and the revoked one is refused" refused 'revoked' gateway bundle import stick/plant-a

# --- Another party's stick: everything in order, but other keys.
mkdir other
(
  cd other
  mkdir keys stick
  cp -r ../packed .
  for key in ann bob stick image; do skerry keys create "keys/$key.pem" >/dev/null; done
  skerry repo init image --root-key keys/image.pem --targets-key keys/image.pem --online-key keys/image.pem
  skerry repo add image packed/manifest.json
  skerry repo sign image --key keys/image.pem
  skerry repo publish image --online-key keys/image.pem
  sh -e ../block1.sh && sh -e ../block2.sh
) >other.log 2>&1 || cat other.log
check "another party's stick is refused" refused 'offline repository' gateway bundle import other/stick/plant-a

# --- The record.
gateway audit tail --last 400 --json >audit.txt 2>/dev/null || gateway audit tail --last 400 >audit.txt
check "imports and refusals are on the audit log" sh -c "grep -c 'bundle.import' audit.txt | awk '{exit \$1 < 20}'"
check "the audit log verifies" gateway audit verify
check "a report goes onto the stick" gateway bundle report stick
report=$(find stick/reports -name audit.skaudit)
origin=skerry.audit/$(basename "$(dirname "$report")")
skerry keys export state/keys/audit.pem >audit.pub
check "it is verified where only the public key is" skerry audit verify "$report" --key audit.pub --origin "$origin"
cp "$report" flipped && printf x | dd of=flipped bs=1 seek=3000 conv=notrunc 2>/dev/null
check "and a changed byte in it is found" refused DAMAGED skerry audit verify flipped --key audit.pub --origin "$origin"
if command -v skopeo >/dev/null; then
  check "skopeo copies the bundle's image" skopeo --tmpdir "$work" copy --insecure-policy oci:stick/plant-a2:acme/echo:2.0.0 dir:copied
else
  skip "skopeo copies the bundle's image" "skopeo is not installed"
fi
stop_daemon TERM

# --- A second new gateway: the same bundle as one file.
tar --format=ustar -C stick/plant-a3 -cf plant-a3.tar .
sed -i "s#^state_dir.*#state_dir = \"$work/state2\"#" skerryd.toml
check "a second gateway starts" start_daemon
check "inspect reads the archive" skerry bundle inspect plant-a3.tar --image-root image-root.json --offline-root offline-root.json
check "it takes the archive" gateway bundle import plant-a3.tar
check "and answers" answers
head -c 3000000 plant-a3.tar >cut.tar
check "a cut archive is refused" refused 'cut' gateway bundle import cut.tar
stop_daemon TERM

# --- A third one that imports by itself what appears where sticks are mounted.
mkdir mnt
sed -i "s#^state_dir.*#state_dir = \"$work/state3\"#" skerryd.toml
printf '[bundles]\nwatch = "%s/mnt"\ninterval = "200ms"\n' "$work" >>skerryd.toml
check "a third gateway starts and watches a folder" start_daemon
cp -r stick/plant-a3 mnt/.copying && mv mnt/.copying mnt/plant-a3
await() {
  for _ in $(seq 150); do
    "$@" && return 0
    sleep 0.2
  done
  return 1
}
check "a stick that is plugged in is taken by itself" await answers
check "once" sh -c "skerry --admin-socket $work/admin.sock --json audit tail --last 400 | grep -c '\"bundle.import\"' | grep -qx 2"
stop_daemon TERM

# --- Rules by stick: a policy and a revocation for the gateway that runs version 2, and no model.
rules() {
  skerry keys create keys/security.pem
  skerry repo delegate image security --key keys/security.pem --path 'security/*' --path 'security/policy/*'
  skerry repo sign image --key keys/image.pem
  skerry repo sign image --key keys/security.pem
  cat >policy.json <<JSON
{"format": "skerry-policy/1", "version": 7,
 "roles": [{"name": "owner", "rules": [{"id": "all", "verbs": ["infer", "embed", "tokenize", "list", "load", "unload", "admin.*", "audit.*", "metrics.read"]}]}],
 "bindings": [{"name": "owners", "role": "owner", "subjects": ["uid:$(id -u)"]}]}
JSON
  skerry policy publish image policy.json --key keys/security.pem --online-key keys/image.pem
  skerry repo revoke-model image --id cve-2026-9 --reason "poisoned weights" --effect stop --model acme/echo --version '2.*' \
    --key keys/security.pem --online-key keys/image.pem
}
bundle_rules() {
  skerry bundle create "stick/$1" --image image --offline offline --id "$1" --device 'plant-a-*' "${@:2}" \
    --signing-key keys/ann.pem --signing-key keys/bob.pem --online-key keys/stick.pem
}
check "a policy and a revocation are published in the office" rules
check "a stick may carry them alone" bundle_rules rules.1
check "inspect takes it" skerry bundle inspect stick/rules.1 --image-root image-root.json --offline-root offline-root.json --blobs
sed -i '/^watch/d' skerryd.toml
check "the gateway starts" start_daemon
check "version 2 answers" answers
policy_is() { gateway status --json | grep -q "\"policy_source\": \"$1\""; }
not() { ! "$@"; }
check "its policy is not a signed one" not policy_is signed
# A stick whose policy was changed on the way, and one without it.
cp -r stick/rules.1 forged
policy=$(grep -l '"version": 7' forged/blobs/sha256/*)
sed -i 's/"owners"/"owmers"/' "$policy"
refused_rules() {
  gateway bundle import "$1" >import.txt 2>&1 || true
  cat import.txt
  not policy_is signed
}
check "a changed policy is not taken" refused_rules forged
cp -r stick/rules.1 lacking && rm "lacking/blobs/sha256/$(basename "$policy")"
check "nor a stick that lacks it" refused 'lacks a blob' gateway bundle import lacking
gateway bundle import stick/rules.1 >import.txt 2>&1
cat import.txt
check "the stick's policy is in force" grep -q 'policy version 7 is in force' import.txt
check "and the daemon says so" policy_is signed
check "its revocation ended version 2" await not answers
gateway audit tail --last 400 --json >audit.txt
check "what was taken is on the audit log" sh -c "grep -q policy.take_signed audit.txt && grep -q revocations.take_signed audit.txt"
check "and the changed one was refused on record" grep -q policy.refuse_signed audit.txt
stop_daemon TERM
check "it starts again without a stick" start_daemon
check "with the policy of the stick" policy_is signed
check "and the revoked version does not answer" not answers
check "a stick with a model leaves the documents out where asked" bundle_rules plant-a.9 --model packed --without-documents
stop_daemon TERM
done_testing
