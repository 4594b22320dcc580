#!/usr/bin/env bash
# What a running gateway exports: both formats are valid, every name is on docs/metrics.md and the dashboard asks for nothing else.
# shellcheck disable=SC2154
set -euo pipefail
cd "$(dirname "$0")/../../.."
root=$PWD
export SKERRY_BUILD=${SKERRY_BUILD:-$root/build/release}
# Read by the parts below.
export keep=
# shellcheck source=scripts/demo/lib.sh
. scripts/demo/lib.sh
# shellcheck source=tests/system/tap.sh
. tests/system/tap.sh

echo_step_ms=1
# Nothing listens there: a server that is away has metrics too.
gateway_extra='[[upstream.endpoint]]
name = "away"
server = "vllm"
tier = "local"
url = "http://127.0.0.1:1/v1"'
{
  # shellcheck source=tests/system/echo_gateway.sh
  . tests/system/echo_gateway.sh
  for _ in 1 2 3; do
    gateway one run default -n "twelve bytes" >/dev/null
  done
  gateway one run default -n --set max_tokens=2 "cut off" >/dev/null
} >"$work/story.log"

current="metrics"
page() {
  curl -sS --fail --unix-socket "$work/one/http.sock" -H "Accept: $1" -o "$2" -D "$2.head" http://localhost/metrics
}
# A strict reader of OpenMetrics, where Debian's python3-prometheus-client is installed.
reader=
for python in python3 /usr/bin/python3; do
  if "$python" -c 'import prometheus_client.openmetrics.parser' 2>/dev/null; then
    reader=$python
  fi
done
page text/plain "$work/prometheus.txt"
page 'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5' "$work/openmetrics.txt"
for test in formats documented counted dashboard; do
  check "metrics: $test" python3 tests/system/metrics/metrics.py "$test" "$work/prometheus.txt" "$work/openmetrics.txt"
done
if [ -n "$reader" ]; then
  check "metrics: a strict reader takes both pages" "$reader" tests/system/metrics/metrics.py readers "$work/prometheus.txt" "$work/openmetrics.txt"
else
  skip "metrics: a strict reader takes both pages" "python3-prometheus-client is not installed"
fi
trap - EXIT
stop_all
rm -rf "$work"
done_testing
