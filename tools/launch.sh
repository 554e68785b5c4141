# What dist_train.sh, dist_test.sh and slurm_train.sh share; they source it.

# check NAME VALUE LOW HIGH: numbers that are none would end in a traceback of torchrun.
check() {
    if ! [[ $2 =~ ^[0-9]{1,6}$ ]] || [ "$((10#$2))" -lt "$3" ] || [ "$((10#$2))" -gt "$4" ]; then
        echo "error: $1 must be a whole number from $3 to $4, got '$2'" >&2
        exit 2
    fi
}

# launch GPUS SCRIPT ARGUMENTS...: start GPUS processes of SCRIPT, which lies beside this file, on this machine.
launch() {
    local folder root threads
    check GPUS "$1" 1 1024
    check NNODES "${NNODES:-1}" 1 10000
    check NODE_RANK "${NODE_RANK:-0}" 0 "$((10#${NNODES:-1} - 1))"
    check PORT "${PORT:-29500}" 1 65535
    folder=$(dirname "$0")
    root=$(cd "$folder/.." && pwd)

    # Processes share the cores; more threads than cores only wait for each other.
    threads=$(($(nproc) / $1))
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((threads > 0 ? threads : 1))}

    export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
    exec "${PYTHON:-python}" -m mmsterf.engine.launch \
        --nnodes="${NNODES:-1}" \
        --node_rank="${NODE_RANK:-0}" \
        --master_addr="${MASTER_ADDR:-127.0.0.1}" \
        --master_port="${PORT:-29500}" \
        --nproc_per_node="$1" \
        "$folder/$2" "${@:3}"
}
