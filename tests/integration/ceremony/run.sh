#!/bin/sh
# Runs the commands of docs/key-ceremony.md in an empty folder, then lets a device that has only the
# first root follow all that they published.
#
#   run.sh KEY_CEREMONY.md BIN_DIR
set -eu
document=$(readlink -f "$1")
bin=$(readlink -f "$2")
work=$(mktemp -d)
server=
finish() {
  [ -z "$server" ] || kill "$server"
  rm -rf "$work"
}
trap finish EXIT
cd "$work"
# shellcheck disable=SC2016 # The backquotes are Markdown's.
sed -n '/^```sh$/,/^```$/{/^```/!p}' "$document" >commands.sh
PATH="$bin:$PATH" sh -eux commands.sh >ceremony.log 2>&1 || {
  tail -n 30 ceremony.log
  exit 1
}
expect() {
  grep -q -- "$1" ceremony.log || {
    echo "the ceremony did not print: $1"
    exit 1
  }
}
expect 'root: 2 of 3 keys'
expect 'root 1 waits for publication, ready'
expect 'delegates to\|staged, to be signed: targets, acme'
expect 'no longer counts for root'

# The device: five roots later, on plain HTTP, with the same client as in the conformance suite.
: >http.log
/usr/bin/python3 -u -m http.server --bind 127.0.0.1 --directory office/repo/metadata 0 >http.log 2>&1 &
server=$!
port=
for _ in $(seq 100); do
  port=$(sed -n 's/.*port \([0-9]*\).*/\1/p' http.log)
  [ -n "$port" ] && break
  sleep 0.1
done
"$bin/tuf-client" --metadata-dir device init office/root.json
"$bin/tuf-client" --metadata-dir device --metadata-url "http://127.0.0.1:$port/" refresh
grep -q '"version": 5' device/root.json
cmp device/timestamp.json office/repo/metadata/timestamp.json
echo "the ceremony of $(grep -c '^skerry' commands.sh) commands was run; the device trusts root 5"
