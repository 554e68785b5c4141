#!/usr/bin/env bash
# Train with several processes: tools/dist_train.sh CONFIG GPUS [options of train.py]
# GPUS is the number of processes per machine; without CUDA they run on CPU. Over several machines, start it on each
# with the same NNODES, MASTER_ADDR (of the first) and PORT, and its own NODE_RANK (0, 1, ...).
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: [NNODES= NODE_RANK= MASTER_ADDR= PORT=] $0 CONFIG GPUS [options of train.py]" >&2
    exit 2
fi
config=$1
gpus=$2

# Numbers that are none would end in a traceback of torchrun.
check() {
    if ! [[ $2 =~ ^[0-9]{1,6}$ ]] || [ "$((10#$2))" -lt "$3" ] || [ "$((10#$2))" -gt "$4" ]; then
        echo "error: $1 must be a whole number from $3 to $4, got '$2'" >&2
        exit 2
    fi
}
check GPUS "$gpus" 1 1024
check NNODES "${NNODES:-1}" 1 10000
check NODE_RANK "${NODE_RANK:-0}" 0 "$((10#${NNODES:-1} - 1))"
check PORT "${PORT:-29500}" 1 65535
root=$(cd "$(dirname "$0")/.." && pwd)

# Processes share the cores; more threads than cores only wait for each other.
threads=$(($(nproc) / gpus))
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((threads > 0 ? threads : 1))}

export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
exec "${PYTHON:-python}" -m mmsterf.engine.launch \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$gpus" \
    "$(dirname "$0")/train.py" "$config" --launcher pytorch "${@:3}"
