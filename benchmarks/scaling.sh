#!/usr/bin/env bash
# Weak scaling 1 -> 2 ranks: one cube per rank on two ranks of one job, against two independent jobs of one rank that share
# the machine in the same minutes. Their ratio is what the job costs beyond sharing memory and caches; 0.9 is asked for.
set -euo pipefail
edge=128 rounds=7 runs=5 csv=   # cells per side of a cube, repetitions, runs of each job, file for the table
while [ $# -gt 0 ]; do
  case $1 in
    --edge) edge=$2 ;; --rounds) rounds=$2 ;; --runs) runs=$2 ;; --csv) csv=$2 ;;
    *) echo "usage: scaling.sh [--edge 128] [--rounds 7] [--runs 5] [--csv FILE]" >&2; exit 1 ;;
  esac
  shift 2
done
echo "edge $edge, rounds $rounds, runs $runs"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../jobscripts/install.sh"
swift build -c release --package-path "$here" --product alidade-bench </dev/null >&2
bench=$here/.build/release/alidade-bench
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
job() { mpirun --oversubscribe --bind-to none -n "$1" "$bench" weak --edge "$edge" --runs "$runs" </dev/null; }

# seconds: compress decompress
echo "round  alone  two jobs  two ranks | alone  two jobs  two ranks   (compress | decompress, seconds, fastest of $runs)"
for round in $(seq "$rounds"); do
  alone=$(job 1)
  job 1 >"$out/a" & first=$!
  job 1 >"$out/b"
  wait "$first"
  two=$(job 2)
  echo "$round $alone $(cat "$out/a") $(cat "$out/b") $two" |
    awk '{ jc = ($4 + $6) / 2; jd = ($5 + $7) / 2
           printf "%d  %s %.4f %s | %s %.4f %s  ratio %.3f %.3f\n", $1, $2, jc, $8, $3, jd, $9, jc / $8, jd / $9 }' | tee -a "$out/rows"
done
middle() { awk -v c="$1" '{ print $(NF - c) }' "$out/rows" | sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
c=$(middle 1) d=$(middle 0)
echo "median ratio of efficiencies 1 -> 2 ranks: compress $c, decompress $d"
if [ -n "$csv" ]; then
  commit=$(git -C "$here" describe --always --dirty)
  machine=$(awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo)
  [ -e "$csv" ] || echo "commit,machine,benchmark,edge,ranks,rounds,compress_ratio,decompress_ratio" >"$csv"
  echo "$commit,$machine,weak,$edge,2,$rounds,$c,$d" >>"$csv"
fi
