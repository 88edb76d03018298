#!/usr/bin/env bash
# Weak scaling 1 -> 2 ranks: one cube per rank, coded by two ranks together and, in turns within the same seconds, by each rank alone at the
# same time as the other, as two independent runs of one rank would. Their ratio is what the job costs beyond sharing memory and caches; 0.9 is
# asked for. (Separate jobs, minutes apart or drifting against each other, differ by 10 % on a busy machine, which is what is to be measured.)
set -euo pipefail
edge=128 rounds=7 runs=5 csv=   # cells per side of a cube, rounds, runs of each kind per round, file for the table
while [ $# -gt 0 ]; do
  case $1 in
    --edge) edge=$2 ;; --rounds) rounds=$2 ;; --runs) runs=$2 ;; --csv) csv=$2 ;;
    *) echo "usage: scaling.sh [--edge 128] [--rounds 7] [--runs 5] [--csv FILE]" >&2; exit 1 ;;
  esac
  shift 2
done
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=jobscripts/install.sh
. "$here/../jobscripts/install.sh"
swift build -c release --package-path "$here" --product alidade-bench </dev/null >&2
result=$(mpirun --oversubscribe --bind-to none -n 2 "$here/.build/release/alidade-bench" weak --edge "$edge" --rounds "$rounds" --runs "$runs" </dev/null | tee /dev/stderr)
if [ -n "$csv" ]; then
  commit=$(git -C "$here" describe --always --dirty)
  machine=$(awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo)
  [ -e "$csv" ] || echo "commit,machine,benchmark,edge,ranks,rounds,compress_ratio,decompress_ratio" >"$csv"
  awk -v l="$commit,$machine,weak,$edge,2,$rounds" '/^median of/ { sub(",", "", $6); print l "," $6 "," $8 }' <<<"$result" >>"$csv"
fi
