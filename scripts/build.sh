#!/usr/bin/env bash
# build.sh PRESET [target…]: configures build/PRESET once and builds it.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
shift
if [ ! -f "build/$preset/build.ninja" ]; then
  cmake --preset "$preset" >"build/$preset.configure.log" 2>&1 || {
    cat "build/$preset.configure.log" >&2
    exit 1
  }
fi
exec ninja -C "build/$preset" "$@"
