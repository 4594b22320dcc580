# shellcheck shell=bash disable=SC2154
# One app may ask one model and not the other, and the audit log says so.

step "who may do what"
gateway large token create triage-app --out "$work/triage-app.token" 2>/dev/null
ask() {
  curl -sS -o "$work/out" -w '%{http_code}' "http://127.0.0.1:$http_port/v1/chat/completions" \
    -H "authorization: Bearer $(cat "$work/triage-app.token")" -H 'content-type: application/json' \
    -d "{\"model\": \"$1\", \"messages\": [{\"role\": \"user\", \"content\": \"kernel: link is down\"}]}"
}
code=$(ask acme/log-triage)
[ "$code" = 200 ] || fail "the app may ask log-triage; got $code $(cat "$work/out")"
code=$(ask acme/vibration)
[ "$code" = 403 ] || fail "the app may not ask vibration; got $code $(cat "$work/out")"
gateway large auth can-i infer acme/log-triage --as token:triage-app >/dev/null || fail "can-i says yes"
if reason=$(gateway large auth can-i infer acme/vibration --as token:triage-app); then
  fail "can-i says no; got $reason"
fi
record=$(gateway large audit tail --last 50 --json | grep 'triage-app' | grep -m1 'acme/vibration' || true)
want "$record" 'den(y|ied)' "the denial is in the audit log"
note "access" "triage-app: log-triage 200, vibration 403, audit record $(json 'd["seq"]' <<<"$record")"
