#!/usr/bin/env bash
# The whole original, TensorFlow included, beside us: bash benchmarks/original_side_by_side.sh WORK
#
# WORK is a folder to make (about 6 GB). Needs Python 3.7 (PYTHON37; TensorFlow 1.14 has no build for
# a newer one), Python 3.11 or newer (PYTHON), 8 GB of memory (the original unpacks its dSprites file
# to 3 GB of bytes and copies it) and half an hour on two cores.
# What it shows: see original_side_by_side.py.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=${1:?usage: bash benchmarks/original_side_by_side.sh WORK}
mkdir "$work"
work=$(cd "$work" && pwd)

echo "# Two fresh virtual environments"
"${PYTHON37:-python3.7}" -m venv "$work/original"
"$work/original/bin/python" -m pip install --quiet --upgrade "pip<24"
"$work/original/bin/python" -m pip install --quiet disentanglement-lib==1.5 \
    tensorflow==1.14.0 tensorflow-estimator==1.14.0 tensorflow-hub==0.7.0 \
    tensorflow-probability==0.7.0 gin-config==0.3.0 numpy==1.18.5 scikit-learn==0.22.2.post1 \
    scipy==1.4.1 protobuf==3.20.3 gast==0.2.2
"${PYTHON:-python3}" -m venv "$work/ours"
"$work/ours/bin/python" -m pip install --quiet --constraint "$root/constraints.txt" --editable "$root"
# The original's gin files; its own requirements have no build for this Python.
"$work/ours/bin/python" -m pip install --quiet --no-deps disentanglement-lib==1.5

cd "$work"
SRVAE_CACHE=${SRVAE_CACHE:-$work/cache} ours/bin/python "$root/benchmarks/original_side_by_side.py"
