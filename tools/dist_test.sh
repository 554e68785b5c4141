#!/usr/bin/env bash
# Test with several processes: tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of test.py]
# Environment variables as in dist_train.sh.
set -euo pipefail
source "$(dirname "$0")/launch.sh"

if [ $# -lt 3 ]; then
    echo "usage: [NNODES= NODE_RANK= MASTER_ADDR= PORT=] $0 CONFIG CHECKPOINT GPUS [options of test.py]" >&2
    exit 2
fi
launch "$3" test.py "$1" "$2" --launcher pytorch "${@:4}"
