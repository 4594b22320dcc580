#!/usr/bin/env bash
# lint.sh changed|all: every check of the source itself. `all` runs clang-tidy on every file, `changed` on those that
# differ from the main branch (or, there, from the last commit). Each check runs; one failure fails the whole.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
scope=${1:-changed}
failed=0

check() {
  local name=$1
  shift
  local output
  if output=$("$@" 2>&1); then
    echo "lint: ok    $name"
    [ -z "$output" ] || printf '%s\n' "$output" | grep -i warning || true
  else
    echo "lint: FAIL  $name"
    printf '%s\n' "$output"
    failed=1
  fi
}

sources() { git ls-files -co --exclude-standard -- "$@" | while read -r file; do [ ! -e "$file" ] || echo "$file"; done; }
co_await() { sources '*.cpp' '*.hpp' | xargs -r python3 scripts/check-co-await.py; }
format() { sources '*.cpp' '*.hpp' '*.h' | xargs -r -n 60 clang-format-14 --dry-run --Werror; }
shell() {
  { sources '*.sh'; grep -rlE '^#!.*(bash|/sh)$' .ci scripts deploy tests 2>/dev/null; } | sort -u |
    xargs -r shellcheck -x -P SCRIPTDIR -P . -e SC1091
}
python() { sources '*.py' | xargs -r python3 -c 'import ast, sys
for path in sys.argv[1:]:
    ast.parse(open(path, encoding="utf-8").read(), path)'; }

check layers python3 scripts/check-layers.py
check co_await co_await
check style python3 scripts/check-style.py
check docs python3 scripts/check-docs.py
check shellcheck shell
check python python
check clang-format format
check clang-tidy python3 scripts/tidy.py "$scope"
if [ "$failed" -ne 0 ]; then
  echo "lint: failed" >&2
  exit 1
fi
echo "lint: clean"
