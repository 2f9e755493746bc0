#!/usr/bin/env bash
# A run on a Slurm allocation: Ray's head and the driver on the first node, a Ray node on each of the others.
#
#   sbatch --nodes=2 --gpus-per-node=8 --cpus-per-task=64 scripts/launch/slurm.sh --config scripts/configs/gpu_cluster.toml \
#       --run.folder=/shared/runs --run.name=mine
#
# The driver always starts with --resume, so the run resumes if you submit the same command again, after a requeue and
# after the time limit. Every node needs this folder and the environment at the same path (a shared file system, or an
# image; docs/cluster.md). Variables and their defaults:
#
#   RNR_PYTHON      Python of the environment                     .venv/bin/python
#   RNR_PORT        port of Ray's head                            6385
#   RNR_INTERFACE   network interface between nodes, e.g. ib0     the one of the head's default route
#   RNR_WAIT        seconds within which all nodes must join      300
#SBATCH --job-name=rnr
#SBATCH --ntasks-per-node=1
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@120

set -euo pipefail

python=${RNR_PYTHON:-.venv/bin/python}
ray=${RNR_RAY:-$(dirname "$python")/ray}
port=${RNR_PORT:-6385}
seconds=${RNR_WAIT:-300}

mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${hosts[0]}

# The address at which the other nodes reach the head: a node may have several networks.
interface=${RNR_INTERFACE:-}
if [ -z "$interface" ]; then
    interface=$(srun --nodes=1 --ntasks=1 --nodelist="$head" ip -o route show default | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1)
fi
address=$(srun --nodes=1 --ntasks=1 --nodelist="$head" ip -o addr show dev "${interface:-none}" scope global \
    | sed -n 's/.* inet6\{0,1\} \([^ /]*\).*/\1/p' | head -n 1)
if [ -z "$address" ]; then
    echo "error: $head has no address on the interface '${interface}': set RNR_INTERFACE (ip -br addr shows them)" >&2
    exit 1
fi
case $address in *:*) head_address="[$address]:$port" ;; *) head_address="$address:$port" ;; esac
echo "head: $head, $head_address by $interface; ${#hosts[@]} nodes"

# Without SRUN_CPUS_PER_TASK a step gets one CPU (Slurm 22.05 and later), and without --num-cpus Ray counts all CPUs of
# the host.
if [ -n "${SLURM_CPUS_PER_TASK:-}" ]; then
    cpus=$((SLURM_CPUS_PER_TASK * ${SLURM_NTASKS_PER_NODE:-1}))
else
    cpus=$SLURM_CPUS_ON_NODE
fi
export SRUN_CPUS_PER_TASK=$cpus
echo "Ray has $cpus CPUs on each node (sbatch --cpus-per-task sets that)"

# Calls to Ray need a token. It is generated for this job and passed only through the environment.
token=$(od -An -tx1 -N32 /dev/urandom | tr -d ' \n')
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN=$token
export GLOO_SOCKET_IFNAME=$interface NCCL_SOCKET_IFNAME=$interface

steps=()
# shellcheck disable=SC2329  # the trap calls it
finish() {
    for step in "${steps[@]}"; do kill "$step" 2>/dev/null || true; done
    wait "${steps[@]}" 2>/dev/null || true
}
trap finish EXIT

srun --nodes=1 --ntasks=1 --overlap --nodelist="$head" \
    "$ray" start --head --node-ip-address="$address" --port="$port" --dashboard-host=127.0.0.1 \
    --num-cpus="$cpus" --block &
steps+=($!)
for host in "${hosts[@]:1}"; do
    srun --nodes=1 --ntasks=1 --overlap --nodelist="$host" \
        "$ray" start --address="$head_address" --num-cpus="$cpus" --block &
    steps+=($!)
done

srun --nodes=1 --ntasks=1 --overlap --nodelist="$head" "$python" -m scripts.launch.wait_for_nodes \
    --address "$head_address" --nodes "${#hosts[@]}" --seconds "$seconds"

srun --nodes=1 --ntasks=1 --overlap --nodelist="$head" \
    "$python" -m scripts.train --cluster.address="$head_address" --resume "$@" &
driver=$!
# Slurm signals this script before the time limit: the driver saves, and the job is requeued to resume.
stopping=""
trap 'stopping=yes; kill -TERM "$driver" 2>/dev/null || true' TERM
status=0
wait "$driver" || status=$?
if [ -n "$stopping" ]; then
    wait "$driver" || status=$?
    scontrol requeue "$SLURM_JOB_ID" || true
fi
exit "$status"
