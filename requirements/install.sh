#!/usr/bin/env bash
# Set up the environment of `make env`: install.sh PYTHON VENV [openmmlab|onedl]. Everything goes into VENV, nothing else
# is touched.
set -euo pipefail
python=$1 venv=$2 stack=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
fail() { echo "make env: $*" >&2; exit 1; }

command -v "$python" >/dev/null || python=python3
command -v "$python" >/dev/null || fail "Python 3.11, 3.12 or 3.13 is needed and there is no python3; name yours with make PYTHON=..."
found=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
case $found in
    3.11 | 3.12) stack=${stack:-openmmlab} ;;
    3.13) stack=${stack:-onedl} ;;
    *) fail "Python 3.11, 3.12 or 3.13 is needed, $python is $found; name another with make PYTHON=..." ;;
esac
case $stack in
    openmmlab) mmcv=mmcv ;;
    onedl) mmcv=onedl-mmcv ;;
    *) fail "the stacks are openmmlab and onedl, not $stack; name one with make STACK=..." ;;
esac
# The setup.py of mmcv 2.1.0 reads a variable through locals(), which has been a copy since 3.13.
[ "$found $stack" != "3.13 openmmlab" ] || fail "mmcv 2.1.0 does not build on Python 3.13; leave STACK=openmmlab out, or name another with make PYTHON=..."
if [ -x "$venv/bin/python" ]; then
    before=$("$venv/bin/python" -c '
import sys
from importlib.metadata import distributions
names = {found.metadata["Name"] for found in distributions()}
print("%d.%d" % sys.version_info[:2], next((stack for stack, mmcv in (("onedl", "onedl-mmcv"), ("openmmlab", "mmcv")) if mmcv in names), "neither"))')
    case $before in
        "$found $stack" | "$found neither") ;;
        *) fail "$venv has Python ${before/ / and the packages of }, not $found and $stack; remove it (make clean), or make another beside it with make VENV=..." ;;
    esac
fi
"$python" -c 'import venv, ensurepip' 2>/dev/null || fail "$python has no venv module; install your system's python3-venv package"
command -v "${CXX:-g++}" >/dev/null || fail "a C++ compiler is needed to build mmcv's operators and ${CXX:-g++} is not there; install g++"
printf '#include <Python.h>\n' | "${CXX:-g++}" -E -I"$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')" -x c++ - >/dev/null 2>&1 \
    || fail "the headers of $python are needed to build mmcv's operators; install your system's python3-dev package"

"$python" -m venv "$venv"
pip=("$venv/bin/python" -m pip --disable-pip-version-check)
lock=(--constraint "$here/lock.txt")
install() { "${pip[@]}" install --quiet "${lock[@]}" "$@"; }

echo "1/4 PyTorch and build tools"
install torch setuptools wheel ninja numpy

echo "2/4 the operators of $mmcv (about 10 minutes on 2 cores the first time, then from pip's cache)"
log=$venv/mmcv-build.log
operators() {
    CFLAGS=${CFLAGS:--g0} MAX_JOBS=${MAX_JOBS:-$(nproc)} MMCV_WITH_OPS=1 FORCE_CUDA=${FORCE_CUDA:-0} \
        "${pip[@]}" install --verbose --no-build-isolation "${lock[@]}" "$@" "$mmcv" 2>&1 | tee "$log" \
        | { grep --line-buffered -oE '^ *\[[0-9]+/[0-9]+\]' || true; } \
        | while read -r step; do printf '\r    compiling %s ' "$step"; done \
        || { tail -n 30 "$log" >&2; fail "building $mmcv failed; the whole log is in $log"; }
    echo
}
# pip caches what it built whatever it was built for: without CUDA, or next to another PyTorch.
if [ "${FORCE_CUDA:-0}" = 1 ]; then operators --no-cache-dir; else operators; fi
"$venv/bin/python" -c 'import mmcv._ext' 2>/dev/null || operators --no-cache-dir --force-reinstall --no-deps
"$venv/bin/python" -c 'import mmcv._ext' || fail "$mmcv was built without working operators; see $log"

echo "3/4 the packages of $stack and the rest"
install --no-build-isolation --requirement "$here/$stack.txt" --requirement "$here/stack.txt"
# Declares imaug, which declares opencv below 4.13 and with it an old numpy, and works with those of the list.
[ $stack = openmmlab ] || install --no-deps --no-build-isolation onedl-mmdetection imaug
# Declares torchvision and torchaudio, which nothing here uses and which replace a CPU build of PyTorch.
install --no-deps spikingjelly
# Classification. It declares an empty package in the place of model-index, and more than it imports; what it imports
# needs the rest of this list.
[ $stack = openmmlab ] && pretraining=mmpretrain || pretraining=onedl-mmpretrain
install --no-deps --no-build-isolation $pretraining einops importlib_metadata lazy-importer zipp mat4py model-index ordered-set click Markdown
# Models to analyse, for tests and benchmarks of ST-ERF; it imports neither of the hubs that it declares.
install --no-deps timm
# All three import torchvision, whose build of this PyTorch is for CUDA and does not import beside a CPU one: see README.md there.
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
rm -f "$site/torchvision_stand_in.pth"
"$venv/bin/python" -c 'import torchvision' 2>/dev/null || echo "$here/torchvision_stub" > "$site/torchvision_stand_in.pth"

echo "4/4 mmsterf itself, editable"
install --no-deps --no-build-isolation --editable "$here/.."
"$venv/bin/python" -c 'from mmsterf.engine import check_versions; check_versions()'
