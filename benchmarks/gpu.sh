#!/usr/bin/env bash
# What a GPU makes of this project: tests, speed, and the paper's setting for as long as there is time.
#
#     bash benchmarks/gpu.sh OUT [--wheels DIR] [--budget SECONDS] [--rehearse]
#
# OUT      folder for at most eight files, JSON and text.
# DIR      wheels of what the machine's Python lacks; this project is then installed beside them, in
#          a folder of its own. Without it, `python` has to have this project already.
# SECONDS  for everything, 500 by default; what is still running then is stopped, and every row that
#          was measured is there.
# --rehearse  the same steps on the CPU, tiny.
#
# The wheels for an image with torch, numpy, scipy, scikit-learn, numba, h5py, matplotlib, rich,
# safetensors, jaxtyping and pytest, here Python 3.12 on x86-64 (5 MB):
#
#     python -m pip download --no-deps --only-binary=:all: --python-version 3.12 \
#         --implementation cp --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 \
#         --platform manylinux2014_x86_64 -d .whl gin-config==0.5.0 beartype pythae pydantic \
#         pydantic-core==2.50.5 annotated-types typing-inspection typing-extensions
set -u
begun=$SECONDS
here=$(cd "$(dirname "$0")/.." && pwd)
out="" wheels="" budget=500 rehearse=""
while [ $# -gt 0 ]; do
    case $1 in
    --wheels) wheels=$2; shift 2 ;;
    --budget) budget=$2; shift 2 ;;
    --rehearse) rehearse=--rehearse; shift ;;
    -*) echo "gpu.sh: unknown option $1" >&2; exit 2 ;;
    *) out=$1; shift ;;
    esac
done
if [ -z "$out" ]; then
    echo "usage: bash benchmarks/gpu.sh OUT [--wheels DIR] [--budget SECONDS] [--rehearse]" >&2
    exit 2
fi
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 2
log=$out/log.txt
: >"$log"
python=${PYTHON:-python3}
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
export SRVAE_CACHE=${SRVAE_CACHE:-/tmp/srvae-cache}

left() { echo $((budget - (SECONDS - begun))); }
say() { echo "[$((SECONDS - begun)) s] $*" | tee -a "$log"; }
# share SECONDS COMMAND...: run it, for so long at most, within the budget.
share() {
    local most=$1
    shift
    local rest
    rest=$(left)
    [ "$most" -gt "$rest" ] && most=$rest
    if [ "$most" -lt 5 ]; then
        say "no time left for $*"
        return 1
    fi
    timeout -k 5 "$most" "$@"
    local code=$?
    say "$* ended with $code"
    return $code
}

if [ -n "$wheels" ]; then
    site=$(mktemp -d)
    {
        "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir \
            --disable-pip-version-check --target "$site" "$wheels"/*.whl &&
        "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir \
            --disable-pip-version-check --no-build-isolation --target "$site" "$here"
    } >>"$log" 2>&1 || { say "installing failed"; cat "$log"; exit 1; }
    export PYTHONPATH=$site${PYTHONPATH:+:$PYTHONPATH}
fi
cd "$here" || exit 2
say "installed"
"$python" benchmarks/gpu_machine.py "$out" 2>&1 | tee -a "$log"

failed=0
# Where there is no GPU, the tests are skipped.
share 170 "$python" -m pytest tests/test_gpu.py -m gpu -q -rP -p no:cacheprovider --durations=8 \
    -o addopts= -o filterwarnings=default >"$out/tests.txt" 2>&1 || failed=1
tail -n 12 "$out/tests.txt" | tee -a "$log"
speed=$(($(left) * 56 / 100))
share "$speed" "$python" benchmarks/gpu_speed.py "$out" --seconds "$((speed - 5))" $rehearse \
    2>&1 | tee -a "$log"
[ "${PIPESTATUS[0]}" -eq 0 ] || failed=1
rest=$(left)
share "$rest" "$python" benchmarks/gpu_paper.py "$out" --seconds "$((rest - 8))" $rehearse \
    2>&1 | tee -a "$log"
[ "${PIPESTATUS[0]}" -eq 0 ] || failed=1
say "done"
exit $failed
