#!/usr/bin/env bash
# Train on a Slurm cluster, one torchrun per machine: tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of train.py]
# GPUS processes in all (8), GPUS_PER_NODE per machine (8), CPUS_PER_TASK cores per process (5), SRUN_ARGS for srun, PORT.
set -euo pipefail
source "$(dirname "$0")/launch.sh"

if [ $# -lt 4 ]; then
    echo "usage: [GPUS= GPUS_PER_NODE= CPUS_PER_TASK= SRUN_ARGS= PORT=] $0 PARTITION JOB_NAME CONFIG WORK_DIR [options of train.py]" >&2
    exit 2
fi
check GPUS "${GPUS:-8}" 1 100000
check GPUS_PER_NODE "${GPUS_PER_NODE:-8}" 1 1024
check CPUS_PER_TASK "${CPUS_PER_TASK:-5}" 1 10000
check PORT "${PORT:-29500}" 1 65535
gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-8}
per_node=$((per_node < gpus ? per_node : gpus))
cpus=${CPUS_PER_TASK:-5}
nodes=$(((gpus + per_node - 1) / per_node))
if [ $((nodes * per_node)) -ne "$gpus" ]; then
    echo "error: GPUS=$gpus is not a multiple of GPUS_PER_NODE=$per_node" >&2
    exit 2
fi
if ! command -v srun > /dev/null; then
    echo "error: there is no srun on this machine: without Slurm, use tools/dist_train.sh" >&2
    exit 1
fi

export NNODES=$nodes PORT=${PORT:-29500} OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
# Each machine learns its own rank and the first machine's name from Slurm.
# shellcheck disable=SC2016,SC2086
exec srun --partition="$1" --job-name="$2" --nodes="$nodes" --ntasks="$nodes" --ntasks-per-node=1 \
    --gres=gpu:"$per_node" --cpus-per-task=$((cpus * per_node)) --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    bash -c 'NODE_RANK=$SLURM_NODEID MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1) exec "$@"' _ \
    bash "$(dirname "$0")/dist_train.sh" "$3" "$per_node" --work-dir "$4" "${@:5}"
