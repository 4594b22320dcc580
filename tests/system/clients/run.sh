#!/usr/bin/env bash
# Unmodified npm clients against a gateway that enrolled and got its models like in the demo.
set -euo pipefail
cd "$(dirname "$0")/../../.."
# The demo's parts read it.
export keep=
# shellcheck source=scripts/demo/lib.sh
. scripts/demo/lib.sh
{
  . scripts/demo/setup.sh
  . scripts/demo/enrol.sh
  . scripts/demo/push.sh
} >"$work/story.txt"

current="npm clients"
port=$(free_port)
stop large TERM
write_gateway large 1GiB "[http]
tcp = true
tcp_address = \"127.0.0.1:$port\""
# The demo's app may only ask and list; these clients also embed, count tokens, load and unload.
sed -i -e 's/"version": 1/"version": 2/' -e 's/"verbs": \["infer", "list"\]/"verbs": ["infer", "list", "embed", "tokenize", "load", "unload"]/' \
  "$work/large/policy.json"
start large "$bin/skerryd" --config "$work/large/skerryd.toml"
within 20 "large is back" gateway large status
gateway large token create triage-app --out "$work/app.token" 2>/dev/null
SKERRY_TOKEN=$(cat "$work/app.token")
export SKERRY_TOKEN SKERRY_API_SOCKET=$work/large/api.sock SKERRY_HTTP_SOCKET=$work/large/http.sock SKERRY_HTTP=http://127.0.0.1:$port
for suite in tests/system/clients/*.test.mjs; do
  node --test-reporter=tap "$suite" || fail "the npm clients' tests: $suite"
done
trap - EXIT
stop_all
rm -rf "$work"
