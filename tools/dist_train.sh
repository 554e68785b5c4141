#!/usr/bin/env bash
# Train with several processes: tools/dist_train.sh CONFIG GPUS [options of train.py]
# GPUS is the number of processes per machine; without CUDA they run on CPU. Over several machines, start it on each
# with the same NNODES, MASTER_ADDR (of the first) and PORT, and its own NODE_RANK (0, 1, ...).
set -euo pipefail
source "$(dirname "$0")/launch.sh"

if [ $# -lt 2 ]; then
    echo "usage: [NNODES= NODE_RANK= MASTER_ADDR= PORT=] $0 CONFIG GPUS [options of train.py]" >&2
    exit 2
fi
launch "$2" train.py "$1" --launcher pytorch "${@:3}"
