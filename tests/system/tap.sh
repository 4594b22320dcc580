# shellcheck shell=bash
# TAP for shell stories: check NAME COMMAND… prints "ok N - NAME" or "not ok N - NAME"; done_testing ends with the verdict.

tap_count=0
tap_failed=0

check() {
  local name=$1 output
  shift
  tap_count=$((tap_count + 1))
  if output=$("$@" 2>&1); then
    echo "ok $tap_count - $name"
  else
    echo "not ok $tap_count - $name"
    printf '%s\n' "${output:0:2000}" | sed 's/^/# /'
    tap_failed=$((tap_failed + 1))
  fi
}

skip() {
  tap_count=$((tap_count + 1))
  echo "ok $tap_count - $1 # SKIP $2"
}

done_testing() {
  echo "1..$tap_count"
  [ "$tap_failed" -eq 0 ]
}
