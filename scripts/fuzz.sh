#!/usr/bin/env bash
# fuzz.sh BUILD_DIR SECONDS: runs every libFuzzer target; new inputs go to BUILD_DIR/corpus, never into the repository.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
build=$1
seconds=$2
failed=0
for target in "$build"/bin/*_fuzz; do
  name=$(basename "$target" _fuzz)
  mkdir -p "$build/corpus/$name" "$build/crashes"
  if "$target" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -artifact_prefix="$build/crashes/$name-" \
    -print_final_stats=1 "$build/corpus/$name" "tests/fuzz/$name/corpus" >"$build/$name.log" 2>&1; then
    echo "fuzz: $name clean, $(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$name.log") runs"
  else
    echo "fuzz: $name FAILED, see $build/$name.log" >&2
    failed=1
  fi
done
exit "$failed"
