#!/usr/bin/env bash
# How long desired state takes to reach simulated devices: run.sh <folder with the programs> [devices] [rounds]
set -euo pipefail

bin=$1
devices=${2:-100}
rounds=${3:-20}
port=${SKERRY_BENCH_PORT:-18943}
work=$(mktemp -d)
controller=

cleanup() {
  if [ -n "$controller" ]; then
    kill "$controller" 2>/dev/null || true
    wait "$controller" 2>/dev/null || true
  fi
  rm -rf "$work"
}
trap cleanup EXIT

cat > "$work/controller.toml" <<TOML
[state]
directory = "$work/state"
[server]
listen = "127.0.0.1:$port"
[log]
level = "warning"
TOML
"$bin/skerry-controller" --config "$work/controller.toml" &
controller=$!
for _ in $(seq 100); do
  if (exec 3<> "/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    break
  fi
  sleep 0.1
done
"$bin/skerry-simagent" --controller "127.0.0.1:$port" --operator "$work/state/operator" \
  --devices "$devices" --rounds "$rounds"
