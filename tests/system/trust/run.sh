#!/usr/bin/env bash
# Who may say what a gateway runs, with real programs: see README.md.
set -euo pipefail
cd "$(dirname "$0")/../../.."
root=$PWD
export SKERRY_BUILD=${SKERRY_BUILD:-$root/build/release}
export keep=${1:---tap}
# shellcheck source=scripts/demo/lib.sh
. scripts/demo/lib.sh
forge() {
  python3 "$root/tests/system/trust/forge.py" "$@"
}

for part in delegation director; do
  # shellcheck source=/dev/null
  . "tests/system/trust/$part.sh"
done
echo "1..${#shown[@]}"
finish >/dev/null
