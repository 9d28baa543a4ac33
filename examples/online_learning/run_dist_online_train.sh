#!/usr/bin/env bash
# Trains on several ranks under MindSpore's dynamic networking, in the foreground until Ctrl-C:
#   bash run_dist_online_train.sh WORKER_NUM SCHED_HOST SCHED_PORT LOCAL_HOST_IP [-d] [--restarts K] [--log_dir DIR]
#     [--first_rank R --local_ranks N] [ARGS...]
# WORKER_NUM: number of ranks; SCHED_HOST, SCHED_PORT: where the scheduler listens; LOCAL_HOST_IP: this machine's
# address, where ranks listen and the consumer is (--address ADDRESS among ARGS: it is there); -d: in the background;
# --restarts: start again from the last checkpoint when a rank dies; ARGS: as of dist_online_train.py.
# Several machines: this command on each with its own LOCAL_HOST_IP and ranks R to R + N - 1, rank 0 at SCHED_HOST, and
# a folder of checkpoints that all of them share. Default: all ranks here.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/launch_arguments.sh"

launch_arguments "WORKER_NUM SCHED_HOST SCHED_PORT LOCAL_HOST_IP" "$@"
expect_number WORKER_NUM "${positional[0]}" 1 4096
expect_address SCHED_HOST "${positional[1]}"
expect_number SCHED_PORT "${positional[2]}" 1024 65535
expect_address LOCAL_HOST_IP "${positional[3]}"
exec "$python" -m mindspore_rec launch --launcher dynamic --ranks "${positional[0]}" --host "${positional[3]}" \
  --sched_host "${positional[1]}" --sched_port "${positional[2]}" ${launcher[@]+"${launcher[@]}"} \
  "$here/dist_online_train.py" --address "${positional[3]}" ${program[@]+"${program[@]}"}
