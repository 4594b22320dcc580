# shellcheck shell=bash disable=SC2154
# A part of run.sh: the same gateway with models encrypted at rest. What it had is converted and goes on; what is imported now never lies
# plain on the disk; vouching and activating ask the plain bytes' digests as before.
# shellcheck source=tests/integration/models.sh
. "$root/tests/integration/models.sh"

step "imports that lie encrypted"
stop one TERM
printf '[storage]\nencryption = "on"\nencryption_key = "file:%s"\n' "$work/one.kek" >>"$work/one/skerryd.toml"
start_gateway
converted() { [ "$(one --json status | json "d.get('unconverted_blobs', 0)")" = 0 ] && grep -q 'event=registry.converted' "$work/one.log"; }
within 60 "what it had is encrypted" converted
answers lab-plain
no_plaintext one "$from/triage-f16.gguf" "after the conversion"
"$skerry" model quantize --input "$from/triage-f16.gguf" --type q8_0 --output "$from/triage-q8_0.gguf" >/dev/null
take "$from/triage-q8_0.gguf" sealed:1.0.0 gguf
no_plaintext one "$from/triage-q8_0.gguf" "after its import"
refused 'is unsigned: nobody vouches' one model activate sealed --slot lab-sealed
one model vouch sealed --reason "read its card" >/dev/null
one model activate sealed --slot lab-sealed >/dev/null || fail "an encrypted import is activated"
answers lab-sealed
one model export sealed --to "oci:$from/unsealed:1.0" >/dev/null
weights=$(sha256sum <"$from/triage-q8_0.gguf" | cut -d' ' -f1)
cmp -s "$from/unsealed/blobs/sha256/$weights" "$from/triage-q8_0.gguf" || fail "an export is plain, and the file that was imported"
one registry scrub >"$work/scrub" 2>&1 || fail "what is stored is whole: $(cat "$work/scrub")"
no_plaintext one "$from/triage-q8_0.gguf" "while it runs"
note "encrypted imports" "converted, imported, vouched, answering, exported; no plain byte in the state folder"
