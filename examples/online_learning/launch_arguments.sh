#!/usr/bin/env bash
# Arguments of mpirun_dist_online_train.sh and run_dist_online_train.sh, which source this file: not to be run itself.
set -euo pipefail

fail() { printf 'error: %s\n' "$*" >&2; exit 2; }

# launch_arguments "NAMES OF POSITIONAL ARGUMENTS" "$@": fills the arrays positional, launcher and program.
launch_arguments() {
  local names=$1 wanted
  shift
  read -r -a wanted <<<"$names"
  positional=() launcher=() program=()
  while [ $# -gt 0 ]; do
    case $1 in
      -h | --help) sed -n '2,/^set /{s/^# \{0,1\}//p}' "${BASH_SOURCE[1]}"; exit 0 ;;
      -d) launcher+=("$1") ;;
      --restarts=* | --restart_seconds=* | --log_dir=* | --first_rank=* | --local_ranks=* | --pin_cores=*) launcher+=("$1") ;;
      --restarts | --restart_seconds | --log_dir | --first_rank | --local_ranks | --pin_cores) [ $# -gt 1 ] || fail "$1: expected a value"; launcher+=("$1=$2"); shift ;;
      -*) [ ${#positional[@]} -eq ${#wanted[@]} ] || break; program+=("$1") ;;
      *) if [ ${#positional[@]} -lt ${#wanted[@]} ]; then positional+=("$1"); else program+=("$1"); fi ;;
    esac
    shift
  done
  [ ${#positional[@]} -eq ${#wanted[@]} ] || fail "${wanted[${#positional[@]}]}: missing; expected $names first"
}

# expect_number NAME VALUE LEAST MOST
expect_number() {
  [[ $2 =~ ^[0-9]{1,9}$ ]] && ((10#$2 >= $3 && 10#$2 <= $4)) || fail "$1 = $2: expected a whole number from $3 to $4"
}

# expect_address NAME VALUE
expect_address() {
  [[ $2 =~ ^([0-9]{1,3}\.){3}[0-9]{1,3}$ ]] || fail "$1 = $2: expected an IPv4 address such as 127.0.0.1"
}

# The active environment's Python, else that of this repository's scripts/setup.sh.
python=${PYTHON:-python}
own=$(dirname "${BASH_SOURCE[0]}")/../../.venv/bin/python
if [ -z "${PYTHON:-}${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] && [ -x "$own" ]; then python=$own; fi
