#!/bin/sh
# Makes vibration again from nothing: data, training, ONNX, calibration, evaluation and golden files.
# Needs the packages of ../packages.txt. About ten minutes of one idle core (estimated).
set -eu
cd "$(dirname "$0")/../../.."
here=examples/models/vibration
export OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
python=${PYTHON:-/usr/bin/python3}
"$python" "$here/train.py" --out "$here" "$@"
"$python" "$here/baseline.py" "$here/eval.json"
