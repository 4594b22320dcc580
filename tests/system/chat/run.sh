#!/usr/bin/env bash
# `skerry run` as people meet it: on a terminal of its own and in pipes, against a gateway whose default slot repeats what it is told and
# whose slot "lab" holds a real model.
# shellcheck disable=SC2154
set -euo pipefail
cd "$(dirname "$0")/../../.."
root=$PWD
export SKERRY_BUILD=${SKERRY_BUILD:-$root/build/release}
# Read by the parts below.
export keep=
# shellcheck source=scripts/demo/lib.sh
. scripts/demo/lib.sh

# Slowly enough to be interrupted.
echo_step_ms=2
{
  # shellcheck source=tests/system/echo_gateway.sh
  . tests/system/echo_gateway.sh
  step "a real model in a slot of its own"
  gateway one model import examples/models/log-triage/log-triage-f16.gguf --name triage:1.0.0
  gateway one model vouch local/triage:1.0.0
  gateway one model activate local/triage:1.0.0 --slot lab
} >"$work/story.log"

current="the chat"
SKERRY_API_SOCKET=$work/one/api.sock python3 tests/system/chat/chat.py "$skerry" "$work" || fail "the chat"
trap - EXIT
stop_all
rm -rf "$work"
