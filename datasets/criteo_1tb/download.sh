#!/usr/bin/env bash
# Downloads days of Criteo's 1TB click logs as day_N.gz, some 15 GB each; --help lists the options.
# A day is .day_N.gz.part until its size is the server's. Run again, the script goes on where it was.
set -euo pipefail

url=https://storage.googleapis.com/criteo-cail-datasets
data_path=data
retries=10
retry_delay=5
days=

usage() {
  cat <<EOF
Usage: bash ${0##*/} [DAYS] [options]

Downloads days of Criteo's 1TB click logs and keeps them gzipped. What is there already is not fetched again.

  DAYS               which days, such as 0-23 or 0,3,5-7 (default: 0-23)
  --url URL          folder on a server that holds day_0.gz to day_23.gz
                     (default: $url)
  --data_path DIR    folder to write to (default: $data_path)
  --retries N        attempts in a row that bring nothing new before a day is given up (default: $retries)
  --retry_delay S    seconds between two attempts (default: $retry_delay)
  --help             this text

Exit status: 0 all days are complete, 1 one is not, 2 wrong arguments.
EOF
}

say() { printf '%s\n' "$*"; }
fail() { printf 'error: %s\n' "$1" >&2; exit "${2:-1}"; }
bytes_of() { if [ -e "$1" ]; then stat -c %s "$1"; else echo 0; fi; }
gigabytes() { awk -v bytes="$1" 'BEGIN { printf "%.1f GB", bytes / 1e9 }'; }

set_option() {
  case $1 in
    --url)
      [[ $2 =~ ^https?://[^/] ]] || fail "--url: '$2', expected http:// or https:// and a host" 2
      url=${2%/}
      ;;
    --data_path)
      [ -n "$2" ] || fail "--data_path: '', expected a folder" 2
      data_path=$2
      ;;
    --retries | --retry_delay)
      [[ $2 =~ ^[0-9]{1,6}$ ]] || fail "$1: '$2', expected a whole number from 0" 2
      if [ "$1" = --retries ]; then retries=$2; else retry_delay=$2; fi
      ;;
  esac
}

# Prints the days of a list such as 0,3,5-7, sorted, each once.
parse_days() {
  local part first last expected="DAYS: '$1', expected days of 0 to 23 such as 0-23 or 0,3,5-7"
  local -a parts listed=()
  IFS=, read -ra parts <<<"$1"
  for part in "${parts[@]}"; do
    [[ $part =~ ^([0-9]{1,2})(-([0-9]{1,2}))?$ ]] || fail "$expected" 2
    first=$((10#${BASH_REMATCH[1]}))
    last=$((10#${BASH_REMATCH[3]:-$first}))
    ((first <= last && last <= 23)) || fail "$expected" 2
    while ((first <= last)); do
      listed[first++]=1
    done
  done
  echo "${!listed[@]}"
}

# Prints the size of a file on the server.
size_on_server() {
  local headers host code size
  if ! headers=$(curl -sSIL --connect-timeout 20 --max-time 60 "$1" 2>&1); then
    host=$(cut -d / -f 3 <<<"$1") headers=${headers##*curl: }
    fail "cannot reach $host: ${headers//$'\n'/ }; check network and proxy, or name another server with --url"
  fi
  # redirects have headers too: the last answer counts
  read -r code size < <(tr -d '\r' <<<"$headers" | awk '
    tolower($1) ~ /^http\// { code = $2; size = "-" }
    tolower($1) == "content-length:" { size = $2 }
    END { print code, size }')
  [ "$code" = 200 ] || fail "$1: the server answers HTTP $code"
  [[ $size =~ ^[1-9][0-9]*$ ]] || fail "$1: the server does not say its size"
  echo "$size"
}

# Fetches a day of a known size. Not by curl --retry: that throws away what came before the cut.
fetch() {
  local target=$data_path/day_$1.gz part=$data_path/.day_$1.gz.part size=$2 failures=0 before have status
  local -a shown=(-sS)
  [ ! -t 2 ] || shown=(--progress-bar)
  have=$(bytes_of "$part")
  while ((have < size)); do
    say "day_$1.gz: $have of $size bytes"
    before=$have status=0
    curl -fL "${shown[@]}" --connect-timeout 20 --speed-limit 1024 --speed-time 60 -C - -o "$part" "$url/day_$1.gz" ||
      status=$?
    have=$(bytes_of "$part")
    if ((status == 33)); then
      fail "$url cannot go on in the middle of a file; remove $part to begin day $1 anew"
    fi
    ((status != 23)) || fail "$part: cannot be written"
    if ((have > before)); then failures=0; else failures=$((failures + 1)); fi
    if ((have < size)); then
      ((failures <= retries)) ||
        fail "day_$1.gz: given up at $have of $size bytes (curl: status $status); run this again to go on"
      sleep "$retry_delay"
    fi
  done
  ((have == size)) || fail "$part: $have bytes, the server has $size: remove it and run this again"
  mv "$part" "$target"
  say "day_$1.gz: complete"
}

while [ $# -gt 0 ]; do
  case $1 in
    --help | -h)
      usage
      exit 0
      ;;
    --url=* | --data_path=* | --retries=* | --retry_delay=*)
      set_option "${1%%=*}" "${1#*=}"
      shift
      ;;
    --url | --data_path | --retries | --retry_delay)
      [ $# -ge 2 ] || fail "$1: the value is missing" 2
      set_option "$1" "$2"
      shift 2
      ;;
    -*) fail "$1: no such option; --help lists them" 2 ;;
    *)
      [ -z "$days" ] || fail "'$1': DAYS is given already, it is '$days'" 2
      days=$1
      shift
      ;;
  esac
done

wanted=$(parse_days "${days:-0-23}")
command -v curl >/dev/null || fail "curl is needed and not installed"
if ! mkdir -p "$data_path" 2>/dev/null || [ ! -w "$data_path" ]; then
  fail "--data_path: '$data_path' cannot be written"
fi
if command -v flock >/dev/null; then # two at once would write into one file
  exec 9<"$data_path"
  flock -n 9 || fail "another download writes to $data_path"
fi

# All sizes first: what is missing on the server or does not fit on the disk is known before hours of work.
missing=0
declare -A sizes=()
for day in $wanted; do
  target=$data_path/day_$day.gz part=$data_path/.day_$day.gz.part
  size=$(size_on_server "$url/day_$day.gz")
  if [ -e "$target" ]; then
    have=$(bytes_of "$target")
    ((have == size)) ||
      fail "$target: $have bytes, the server has $size: remove it, or rename it to ${part##*/} to go on at its end"
  else
    have=$(bytes_of "$part")
    ((have <= size)) || fail "$part: $have bytes, the server has $size: remove it and run this again"
    sizes[$day]=$size
    missing=$((missing + size - have))
  fi
done
free=$(df -Pk "$data_path" | awk 'NR == 2 { printf "%.0f", $4 * 1024 }')
if ((missing > free)); then
  fail "$(gigabytes "$missing") are missing, $data_path has $(gigabytes "$free") free: take fewer DAYS"
fi

for day in $wanted; do
  [ -z "${sizes[$day]:-}" ] || fetch "$day" "${sizes[$day]}"
done
say "complete in $data_path: $(wc -w <<<"$wanted") days"
