#!/usr/bin/env bash
# Lint, type-check and test in a virtual environment of its own (.venv), made from a bare Python 3.11+.
#   bash tests/run.sh [pytest arguments]      PYTHON=python3.12 picks another interpreter
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[test,browser]'
# The original metrics, the other side of the parity tests; its own requirements (TensorFlow 1.14)
# have no build for this Python, and its metrics do not need them.
.venv/bin/python -m pip install --quiet --no-deps disentanglement-lib==1.5

.venv/bin/ruff check
.venv/bin/ruff format --check
.venv/bin/mypy
SRVAE_CACHE=$PWD/.cache .venv/bin/pytest -n 2 --dist loadfile --no-loadscope-reorder --durations 25 "$@"
