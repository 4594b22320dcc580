#!/usr/bin/env bash
# The command line as people meet it: help everywhere, the manual page in step, errors that say what to do.
set -uo pipefail
cd "$(dirname "$0")/../../.." || exit 1
# shellcheck source=tests/system/tap.sh
. tests/system/tap.sh
skerry=$SKERRY_BUILD/bin/skerry

# The subcommands that a command's help lists.
commands() {
  "$skerry" "$@" --help | awk '/^Subcommands:/ {on = 1; next} on && /^  [a-z]/ {print $1}'
}

# -c and not -q: grep must read to the end, or sed dies of the closed pipe and takes the check with it.
in_manual() {
  sed 's/\\-/-/g; s/\\fB//g' docs/man/skerry.1 | grep -Ec "(^|[ |\"])$1([ |\"]|$)" >/dev/null
}

for command in $(commands); do
  check "skerry $command has help" "$skerry" "$command" --help
  check "skerry.1 describes $command" in_manual "$command"
  for sub in $(commands "$command"); do
    check "skerry $command $sub has help" "$skerry" "$command" "$sub" --help
    check "skerry.1 describes $command $sub" in_manual "$sub"
  done
done

exits() {
  local code=$1
  shift
  "$@" >/dev/null 2>&1
  [ $? -eq "$code" ]
}
check "an unknown command exits with 2" exits 2 "$skerry" statsu
check "an absent daemon exits with 4" exits 4 "$skerry" status --admin-socket /nonexistent/admin.sock
check "a hostile file exits with 3" exits 3 "$skerry" model check tests/fuzz/gguf/corpus/truncated
check "a missing profile exits with 1" exits 1 env -i HOME=/nonexistent "$skerry" fleet devices
for program in skerryd skerry-controller; do
  check "$program --help" "$SKERRY_BUILD/bin/$program" --help
  check "$program refuses an unknown option" exits 2 "$SKERRY_BUILD/bin/$program" --no-such-option
done
done_testing
