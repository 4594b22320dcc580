#!/usr/bin/env bash
# run.sh [BIN_FOLDER [ROUNDS [SHAPE]]]: from the COMMIT of an activation to the first answer of the new model, through a real gateway.
set -euo pipefail
bin=${1:-${SKERRY_BUILD:?the build folder}/bin}
exec python3 "$(dirname "$0")/activation.py" "$bin" --rounds "${2:-30}" --shape "${3:-tiny}"
