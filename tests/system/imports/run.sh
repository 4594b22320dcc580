#!/usr/bin/env bash
# Models of other tools, on a gateway that no fleet directs: every kind is imported unsigned, does not run, is vouched for and answers;
# hostile ones, strangers' signatures and a kill in the middle leave nothing behind; what is exported is what skopeo copies.
# shellcheck disable=SC2154
set -euo pipefail
cd "$(dirname "$0")/../../.."
root=$PWD
export SKERRY_BUILD=${SKERRY_BUILD:-$root/build/release}
# Read by the parts below.
export keep=${1:---tap}

# shellcheck source=scripts/demo/lib.sh
. scripts/demo/lib.sh

line='[INST] apcupsd | WARNING | supply too low, brownout reset of the board [/INST]'
wanted='"component":"power","cause":"undervoltage"'

write_config() {
  mkdir -p "$work/one"
  cat >"$work/one/skerryd.toml" <<TOML
state_dir = "$work/one/state"
[listen]
api_socket = "$work/one/api.sock"
admin_socket = "$work/one/admin.sock"
http_socket = "$work/one/http.sock"
admin_group = ""
[runtime]
threads = 1
[activation]
disk_reserve = "16MiB"
probation_seconds = 1
probation_requests = 0
[import]
signer_keys = ["$work/keys/maker.pub"]
signer_anchors = ["$work/keys/ca.crt"]
signer_subjects = ["CN=Model Maker,O=Acme"]
TOML
}

start_gateway() {
  start one "$bin/skerryd" --config "$work/one/skerryd.toml"
  within 20 "the gateway answers" gateway one status
}

one() { gateway one "$@"; }

# take WHAT NAME FORMAT: imports it; it is of that format, and unsigned.
take() {
  local json
  json=$(one --json model import "$1" --name "$2") || fail "importing $1"
  [ "$(json "d['format'] + ' ' + d['state']" <<<"$json")" = "$3 unsigned" ] || fail "$1 is $3 and unsigned; got ${json:0:400}"
}

# refused PATTERN COMMAND…: it fails, and says so.
refused() {
  local pattern=$1 output
  shift
  if output=$("$@" 2>&1); then
    fail "this should have failed: $*"
  fi
  grep -Eq -- "$pattern" <<<"$output" || fail "$* says $pattern; got: ${output:0:600}"
}

# state MODEL: "unsigned", "vouched", "revoked".
state() { one --json model inspect "$1" | json "d['state']"; }

answers() {
  local answer
  answer=$(one run "$1" --raw --temperature 0 "$line") || fail "$1 does not answer"
  grep -q -- "$wanted" <<<"$answer" || fail "$1 answers as the model does; got: $answer"
}

models() { one --json model list | json "' '.join(sorted(m['name'] for m in d.get('models', [])))"; }

step "sources and signers"
mkdir -p "$work/keys"
python3 tests/system/imports/sources.py examples/models/log-triage/log-triage-f16.gguf examples/models/vibration/vibration-f32.onnx "$work/from"
for name in maker stranger; do
  openssl ecparam -name prime256v1 -genkey -noout 2>/dev/null | openssl pkcs8 -topk8 -nocrypt -out "$work/keys/$name.key"
  openssl pkey -in "$work/keys/$name.key" -pubout -out "$work/keys/$name.pub"
done
# ca NAME: an authority; leaf CA NAME SUBJECT: a certificate for code signing below it.
ca() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/keys/$1.key" -out "$work/keys/$1.crt" -days 30 \
    -subj "/CN=$1" -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign" 2>/dev/null
}
leaf() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/keys/$2.key" -out "$work/keys/$2.csr" -subj "$3" 2>/dev/null
  printf 'keyUsage=critical,digitalSignature\nextendedKeyUsage=codeSigning\nbasicConstraints=critical,CA:FALSE\n' >"$work/keys/$2.ext"
  openssl x509 -req -in "$work/keys/$2.csr" -CA "$work/keys/$1.crt" -CAkey "$work/keys/$1.key" -CAcreateserial -days 20 \
    -extfile "$work/keys/$2.ext" -out "$work/keys/$2.crt" 2>/dev/null
  chmod 600 "$work/keys/$2.key"
}
ca ca
ca other-ca
leaf ca named "/O=Acme/CN=Model Maker"
leaf ca unnamed "/O=Acme/CN=Somebody Else"
leaf other-ca outside "/O=Acme/CN=Model Maker"
chmod 600 "$work"/keys/*.key
write_config
start_gateway
note "a gateway without a fleet" "$(one status | head -1)"

step "every kind is imported, unsigned"
from=$work/from
take "$from/triage-f16.gguf" plain:1.0.0 gguf
take "$from/split" split:1.0.0 gguf
take "ollama:$from/ollama/triage:latest" ollama:1.0.0 ollama
take "ollama:$from/ollama/triage:small" ollama-small:1.0.0 ollama
take "$from/onnx" onnx:1.0.0 onnx
take "$from/olive" olive:1.0.0 olive
take "$from/ort" ort:1.0.0 ort
kinds="plain split ollama ollama-small onnx olive ort"
refused 'say which model with --pick; there are|there are triage' one model import "$from/ollama"
note "seven kinds of folder" "$(models)"

if command -v umoci >/dev/null; then
  umoci init --layout "$from/umoci"
  umoci new --image "$from/umoci:v1"
  umoci insert --rootless --image "$from/umoci:v1" "$from/triage-f16.gguf" /models/triage-f16.gguf >/dev/null 2>&1
  take "oci:$from/umoci:v1" umoci:1.0.0 oci
  kinds="$kinds umoci"
  note "an image that umoci made" "its layer is an archive; the model in it is unsigned"
else
  note "an image that umoci made # SKIP umoci is not installed" "skipped"
fi
if command -v skopeo >/dev/null; then
  one model export plain --to "oci:$from/exported:1.0" >/dev/null
  skopeo copy --insecure-policy "oci:$from/exported:1.0" "oci:$from/skopeo:again" >/dev/null 2>&1
  skopeo copy --insecure-policy "oci:$from/exported:1.0" "dir:$from/dir" >/dev/null 2>&1
  digest=$(one --json model inspect plain | json "d['manifest_digest']")
  [ "sha256:$(sha256sum <"$from/dir/manifest.json" | cut -d' ' -f1)" = "$digest" ] || fail "skopeo copies the manifest unchanged"
  weights=$(sha256sum <"$from/triage-f16.gguf" | cut -d' ' -f1)
  cmp -s "$from/skopeo/blobs/sha256/$weights" "$from/triage-f16.gguf" || fail "skopeo copies the weights unchanged"
  take "oci:$from/skopeo:again" skopeo:1.0.0 oci
  kinds="$kinds skopeo"
  note "an export that skopeo copies" "$digest, in an oci: and a dir:, and imported again"
else
  note "an export that skopeo copies # SKIP skopeo is not installed" "skipped"
fi
stored=$(find "$work/one/state/blobs" -type f -size +5000k | wc -l)
[ "$stored" -eq 1 ] || fail "the same weights are stored once; $stored files are that large"
note "stored once" "the weights of every GGUF kind are one file"

step "none of them runs"
for kind in $kinds; do
  [ "$(state "$kind")" = unsigned ] || fail "$kind is unsigned"
  refused 'failed_precondition.*is unsigned: nobody vouches.*skerry model vouch' one model activate "$kind" --slot "lab-$kind"
done
refused "failed_precondition.*skerry model vouch local/plain:1.0.0" one run local/plain "$line"
refused 'not_found' one run lab-plain "$line"
note "unsigned" "$(one run local/plain "$line" 2>&1 | cut -c1-110)"

step "somebody vouches, and they answer"
for kind in plain split ollama; do
  one model vouch "$kind" --reason "read its card" >/dev/null
  one model activate "$kind" --slot "lab-$kind" >/dev/null || fail "$kind is activated"
  answers "lab-$kind"
done
answers local/split
for kind in umoci skopeo; do
  case " $kinds " in *" $kind "*)
    one model vouch "$kind" >/dev/null
    one model activate "$kind" --slot "lab-$kind" >/dev/null || fail "$kind is activated"
    answers "lab-$kind"
    ;;
  esac
done
note "vouched GGUF models answer" "$(one run lab-split --raw --temperature 0 "$line" | head -c 110)"
if [ -e "$SKERRY_BUILD/lib/skerry/plugins/skerry-onnx.so" ]; then
  for kind in onnx olive ort; do
    one model vouch "$kind" >/dev/null
    one model activate "$kind" --slot "lab-$kind" >/dev/null || fail "$kind is activated"
  done
  note "vouched ONNX models are active" "external data, Olive and an ORT package"

  step "they answer as the same model does where a fleet signed it"
  # shellcheck source=tests/system/imports/signed.sh
  . "$root/tests/system/imports/signed.sh"
  for window in "$work"/windows/*.json; do
    signed=$(answer_of two vibration "$window")
    class=$(json 'max(range(len(d)), key=d.__getitem__)' <<<"$signed")
    [ "$class" = "$(cat "${window%.json}.class")" ] || fail "the signed model knows the class of $window; got $signed"
    for kind in onnx olive ort; do
      imported=$(answer_of one "lab-$kind" "$window")
      [ "$imported" = "$signed" ] || fail "$kind answers $signed; got $imported"
    done
  done
  stop two TERM
  note "ONNX answers compared" "$(find "$work/windows" -name '*.json' | wc -l) windows, three kinds, each number as the signed model's: $signed"
else
  note "vouched ONNX models are active # SKIP the ONNX plugin is not built" "skipped"
  note "ONNX answers compared # SKIP the ONNX plugin is not built" "skipped"
fi

step "what is hostile is refused"
before=$(models)
(cd "$from/hostile" && ls) >"$work/hostile"
while read -r name; do
  refused '^[a-z_]+: ' one model import "$from/hostile/$name" --name "evil-$name"
done <"$work/hostile"
refused 'invalid_argument|model_format' one model import "$from/hostile/onnx-traversal"
refused 'digest' one model import "$from/hostile/ollama-swapped"
refused 'link|special' one model import "$from/hostile/link"
[ "$(models)" = "$before" ] || fail "nothing hostile is recorded"
if [ -e "$from/evil.gguf" ] || [ -e "$work/evil.gguf" ]; then fail "nothing left its folder"; fi
note "hostile sources" "$(wc -l <"$work/hostile") refused, none recorded"

step "signers"
sign() { "$skerry" model sign "$@" >/dev/null 2>&1 || fail "signing: $*"; }
for name in listed foreign changed; do
  mkdir "$from/$name"
  cp "$from/triage-f16.gguf" "$from/$name/"
  echo "# $name" >"$from/$name/README.md"
done
sign "$from/listed" --key "$work/keys/maker.key"
sign "$from/foreign" --key "$work/keys/stranger.key"
sign "$from/changed" --key "$work/keys/maker.key"
echo "# not what was signed" >"$from/changed/README.md"
[ "$(one --json model import "$from/listed" --name listed:1.0.0 | json "d['state']")" = vouched ] || fail "a listed signer vouches"
one model activate listed --slot lab-listed >/dev/null || fail "what a listed signer made is activated"
answers lab-listed
take "$from/foreign" foreign:1.0.0 gguf
refused 'nobody vouches' one model activate foreign --slot lab-foreign
refused 'signature_invalid' one model import "$from/changed" --name changed:1.0.0
refused 'permission_denied.*list of signers' one model vouch foreign --bundle "$from/foreign/model.sig"
refused 'permission_denied.*list of signers' one model vouch foreign --key "$work/keys/stranger.key"
refused 'signature_invalid' one model vouch foreign --bundle "$from/listed/model.sig"
refused 'permission_denied' one model vouch foreign --key "$work/keys/outside.key" --certificate "$work/keys/outside.crt"
refused 'permission_denied' one model vouch foreign --key "$work/keys/unnamed.key" --certificate "$work/keys/unnamed.crt"
[ "$(state foreign)" = unsigned ] || fail "wrong signers leave it unsigned"
one model vouch foreign --key "$work/keys/named.key" --certificate "$work/keys/named.crt" >/dev/null
[ "$(state foreign)" = vouched ] || fail "a certificate that the list names vouches"
note "signers on the list" "$(one model inspect foreign | grep -o 'signer certificate.*O=Acme' | head -1)"

step "a signer is taken off the list"
slot_state() { one slots --json | json "next(s for s in d['slots'] if s['slot'] == '$1')['state']"; }
committed() { [ "$(slot_state "$1")" = COMMITTED ]; }
for slot in lab-trial lab-hand; do
  one model activate listed --slot "$slot" >/dev/null || fail "what a listed signer made is activated in $slot"
  within 20 "$slot is committed" committed "$slot"
done
one model activate plain --slot lab-hand >/dev/null
within 20 "lab-hand is committed again" committed lab-hand
stop one TERM
sed -i.before 's/^signer_keys = .*/signer_keys = []/; s/^probation_seconds = .*/probation_seconds = 300/' "$work/one/skerryd.toml"
start_gateway
answers lab-listed
refused 'no longer on the list' one rollback lab-hand
answers lab-hand
one model activate plain --slot lab-trial >/dev/null || fail "another one goes on trial"
[ "$(slot_state lab-trial)" = PROBATION ] || fail "it is on trial"
dies() { # its worker, once more
  local pid
  one run lab-trial --raw --temperature 0 "$line" >/dev/null 2>&1 || true
  for pid in $(pgrep -P "${pids[one]}" -x skerry-worker); do kill -9 "$pid"; done
  [ "$(slot_state lab-trial)" = ROLLED_BACK ]
}
within 60 "three deaths end the trial" dies
refused 'not_found' one run lab-trial "$line"
grep 'event=slot.not_returned' "$work/one.log" | grep -q 'no longer on the list' || fail "the log says why the slot is empty"
# Its worker has the same weights, and is held back for a moment.
within 30 "what runs goes on" one run lab-listed --raw --temperature 0 "$line"
answers lab-listed
note "a signer off the list" "what runs goes on; neither a failed trial nor a rollback goes back to it"
stop one TERM
mv "$work/one/skerryd.toml.before" "$work/one/skerryd.toml"
start_gateway

step "a vouch is taken back"
one model revoke split --reason "second thoughts" >/dev/null
answers lab-split
refused 'is revoked: nobody vouches' one model activate split --slot lab-again
refused 'a slot runs' one model remove split
one model remove ollama-small >/dev/null
[ "$(models | grep -c ollama-small)" -eq 0 ] || fail "what is removed is not listed"
note "revoked and removed" "what runs goes on, nothing makes it live again"

step "kill -9 in the middle of an import"
slots_before=$(one --json slots | json "len(d['slots'])")
one model import "$from/large" --name large:1.0.0 >"$work/large.out" 2>&1 &
importing=$!
copying() { [ "$(du -s --block-size=1M "$work/one/state/staging" 2>/dev/null | cut -f1)" -ge 16 ]; }
within 60 "the copy is under way" copying
kill -9 "${pids[one]}"
wait "${pids[one]}" 2>/dev/null || true
unset "pids[one]"
wait "$importing" && fail "an import into a dead daemon fails"
start_gateway
refused 'not_found' one model inspect large
answers lab-plain
[ "$(one --json slots | json "len(d['slots'])")" = "$slots_before" ] || fail "the slots are as they were"
one model import "$from/large" --name large:1.0.0 >"$work/large.out" 2>&1 &
importing=$!
within 60 "the copy is under way again" copying
kill -9 "$importing"
wait "$importing" 2>/dev/null || true
refused 'not_found' one model inspect large
# The daemon lets go of the half copy as soon as it notices.
imported_again() { [ "$(one --json model import "$from/large" --name large:1.0.0 | json "d['state']")" = unsigned ]; }
within 60 "the import is done again" imported_again
one registry scrub >"$work/scrub" 2>&1 || fail "what is stored is whole: $(cat "$work/scrub")"
one model remove large >/dev/null
one registry gc >/dev/null
[ "$(du -s --block-size=1M "$work/one/state/blobs" | cut -f1)" -lt 64 ] || fail "its space is freed"
note "killed while it copied" "no half model; imported again, removed, its space freed"

# shellcheck source=tests/system/imports/sealed.sh
. "$root/tests/system/imports/sealed.sh"

step "on record"
one --json audit tail --last 400 >"$work/audit"
for action in model.import model.vouch model.revoke_vouch model.activate_import model.remove; do
  grep -q "\"$action\"" "$work/audit" || fail "$action is on the audit log"
done
grep -q 'list of signers' "$work/audit" || fail "a refused signer is on the audit log"
one audit verify >/dev/null || fail "the audit log verifies"
stop one TERM
note "audit" "imports, vouches, refusals and removals, verified"
echo "1..${#shown[@]}"
finish
