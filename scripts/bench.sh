#!/usr/bin/env bash
# bench.sh BUILD_DIR: runs every bench program and script; docs/benchmarks.md says what each measures.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
build=$1
failed=0
for program in "$build"/bin/*_bench bench/*/run.sh; do
  [ -x "$program" ] || continue
  echo "== $program"
  SKERRY_BUILD=$PWD/$build "$program" || failed=1
done
exit "$failed"
