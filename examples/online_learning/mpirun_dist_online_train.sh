#!/usr/bin/env bash
# Trains on several ranks of this machine under MPI, in the foreground until Ctrl-C:
#   bash mpirun_dist_online_train.sh RANK_SIZE LOCAL_HOST_IP [-d] [--restarts K] [--log_dir DIR] [ARGS...]
# RANK_SIZE: number of ranks; LOCAL_HOST_IP: this machine's address, where the consumer is; -d: in the background;
# --restarts: start again from the last checkpoint when a rank dies; ARGS: as of dist_online_train.py.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/launch_arguments.sh"

launch_arguments "RANK_SIZE LOCAL_HOST_IP" "$@"
expect_number RANK_SIZE "${positional[0]}" 1 4096
expect_address LOCAL_HOST_IP "${positional[1]}"
exec "$python" -m mindspore_rec launch --launcher mpirun --ranks "${positional[0]}" --host "${positional[1]}" \
  ${launcher[@]+"${launcher[@]}"} "$here/dist_online_train.py" --address "${positional[1]}" ${program[@]+"${program[@]}"}
