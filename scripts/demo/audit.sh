# shellcheck shell=bash disable=SC2154
# The audit log verifies, live and exported; a copy with one flipped bit does not.

step "audit"
intact=$(gateway large audit verify) || fail "the log is intact; got $intact"
gateway large audit export --out "$work/audit.export" 2>/dev/null
# The key that the controller pinned when it first heard of this log.
device=$(gateway large status --json | json "d['sync']['device_id']")
key=$(fleet devices "$device" --json | json "d['devices'][0]['audit']['verifier_key']")
"$skerry" audit verify "$work/audit.export" --key "$key" >/dev/null || fail "the export verifies offline"
python3 - "$work/audit.export" "$work/audit.tampered" <<'PY'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
data[len(data) // 2] ^= 1
open(sys.argv[2], "wb").write(data)
PY
if damage=$("$skerry" audit verify "$work/audit.tampered" --key "$key"); then
  fail "a flipped bit is found"
fi
want "$damage" 'DAMAGED' "the damage is named"
note "audit" "${intact%%, root*}; tampered copy: ${damage%%:*} $(grep -o "at offset .*)" <<<"$damage" | head -n1)"
