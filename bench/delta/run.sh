#!/usr/bin/env bash
# run.sh [BIN_FOLDER [options of run.py]]: deltas beside zstd, xdelta3, bsdiff, casync, zsync and rsync.
set -euo pipefail
bin=${1:-${SKERRY_BUILD:?the build folder}/bin}
exec python3 "$(dirname "$0")/run.py" "$bin" "${@:2}"
