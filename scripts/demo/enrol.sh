# shellcheck shell=bash disable=SC2034,SC2154
# Two gateways enrol with single-use tokens; a third one with a used token stays out.

step "gateways enrol"
http_port=$(free_port)
write_gateway large 1GiB "[http]
tcp = true
tcp_address = \"127.0.0.1:$http_port\""
write_gateway small "${SKERRY_DEMO_SMALL:-41000000}"
write_gateway stranger 1GiB
for name in large small; do
  fleet token --note "$name" --out "$work/$name/token" 2>/dev/null
  cp "$work/$name/token" "$work/$name.used"
  start "$name" "$bin/skerryd" --config "$work/$name/skerryd.toml"
done
for name in large small; do
  within 20 "$name enrols and connects" sync_is "$name" connected
done
cp "$work/large.used" "$work/stranger/token"
start stranger "$bin/skerryd" --config "$work/stranger/skerryd.toml"
within 20 "the stranger is refused" sync_is stranger refused
want "$(gateway stranger status --json)" 'enrolment_refused' "the refused gateway says why"
stop stranger TERM
devices=$(fleet devices --json)
[ "$(json 'len(d["devices"])' <<<"$devices")" = 2 ] || fail "two devices are enrolled; got $devices"
note "enrolment" "large and small enrolled, a used token refused (enrolment_refused)"
