#!/usr/bin/env bash
# The tests with the oldest or the newest dependencies that setup.cfg allows, in an environment of their
# own (.venv-oldest, .venv-newest).
#   bash tests/run_with.sh oldest [pytest arguments]      PYTHON=python3.13 picks another interpreter
# The oldest are those that have a wheel for that Python; packages that only they ask for are not held back.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
    oldest) resolution=lowest-direct ;;
    newest) resolution=highest ;;
    *) echo "usage: bash tests/run_with.sh oldest|newest [pytest arguments]" >&2; exit 2 ;;
esac
venv=$PWD/.venv-$1
shift
"${PYTHON:-python3}" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet uv
export VIRTUAL_ENV=$venv
uv=$venv/bin/uv
# promise, which TensorFlow Datasets asks for, has no wheels. setup.cfg is read here: uv would have to build
# the package, which is no wheel either.
wheels=(--only-binary :all: --no-binary promise)
"$venv/bin/python" - > "$venv/requirements.txt" <<'END'
import configparser

setup = configparser.ConfigParser()
setup.read("setup.cfg")
print(setup["options"]["install_requires"], setup["options.extras_require"]["test"], sep="\n")
END
"$uv" pip compile --quiet --resolution "$resolution" "${wheels[@]}" "$venv/requirements.txt" \
    --output-file "$venv/versions.txt"
"$uv" pip install --quiet "${wheels[@]}" --requirement "$venv/versions.txt"
"$uv" pip install --quiet --no-deps disentanglement-lib==1.5
"$uv" pip install --quiet --no-deps --no-build-isolation --editable .
"$uv" pip freeze
# Old packages call deprecated functions of new ones; what we call ourselves is checked by the pinned run.
SRVAE_CACHE=${SRVAE_CACHE:-$PWD/.cache} "$venv/bin/python" -m pytest -n 2 --dist loadfile \
    -W default::DeprecationWarning -W default::PendingDeprecationWarning "$@"
