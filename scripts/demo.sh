#!/usr/bin/env bash
# The whole product in two minutes, on loopback, without root, in a folder that is removed at the end: two gateways and a
# controller, real daemons, real keys, the two trained models. Every line of the closing table was asserted on what the
# programs really answered; the first step that does not hold ends the demo with a non-zero exit.
#   demo.sh [--keep|--tap]   --keep leaves the folder (logs, configuration, state) for a look; --tap counts for ctest
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
export SKERRY_BUILD=${SKERRY_BUILD:-$root/build/release}
# Read by the parts below.
export keep=${1:-}

# shellcheck source=scripts/demo/lib.sh
. scripts/demo/lib.sh

for part in setup enrol push answers access offline refused resume audit; do
  # shellcheck source=/dev/null
  . "scripts/demo/$part.sh"
done
finish
