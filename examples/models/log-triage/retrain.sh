#!/bin/sh
# Makes log-triage again from nothing: data, training, GGUF, checks, evaluation and golden sets.
# Needs the packages of ../packages.txt and the engines of `make setup`. About an hour of one idle core (estimated).
set -eu
cd "$(dirname "$0")/../../.."
here=examples/models/log-triage
work=${SKERRY_RETRAIN_DIR:-build/models/log-triage}
export OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
python=${PYTHON:-/usr/bin/python3}
"$python" "$here/train.py" --out "$work" "$@"
"$python" "$here/export_gguf.py" --from "$work" --out "$here/log-triage-f16.gguf"
"$python" "$here/verify.py" --from "$work" --gguf "$here/log-triage-f16.gguf"
