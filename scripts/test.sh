#!/usr/bin/env bash
# test.sh BUILD_DIR LABEL_REGEX: runs ctest and ends with a line that counts test cases, not programs.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
build=$1
labels=$2
results=$PWD/$build/test-results
rm -rf "$results"
mkdir -p "$results"
# halt_on_error is the default for both; leaks count too.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1}
export GTEST_OUTPUT=xml:$results/
ctest --test-dir "$build" --label-regex "$labels" --output-on-failure --parallel "${CTEST_JOBS:-$(nproc)}" \
  --output-junit "$results/ctest.junit" --test-output-size-passed 1000000 --test-output-size-failed 1000000 \
  --no-tests=error
status=$?
python3 scripts/test-summary.py "$results" || status=1
exit "$status"
