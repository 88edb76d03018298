#!/usr/bin/env bash
# The law against measurement (THEORY, table 8): cells on the fields of a data folder and on a run of the Taylor-Green solver, the rows that
# need no field, docs/results/law.md with its plots. Fields that are not there are skipped, and it says so.
#   benchmarks/law/run.sh [--data DIR] [--results DIR] [--jobs 2]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
data=${ALIDADE_DATA:-$here/../../../shared/data} results=$here/../../docs/results jobs=2 edge=64 reynolds=400 time=4
while [ $# -gt 0 ]; do
  case $1 in
    --data) data=$2 ;; --results) results=$2 ;; --jobs) jobs=$2 ;;
    *) echo "usage: run.sh [--data DIR] [--results DIR] [--jobs 2]" >&2; exit 1 ;;
  esac
  shift 2
done
echo "data $data, results $results, jobs $jobs; Taylor-Green $edge^3, Re $reynolds, t $time"
. "$here/../../jobscripts/install.sh"
command -v gnuplot >/dev/null || { echo "error: gnuplot draws the plots; install it" >&2; exit 1; }
swift build -c release --package-path "$here/../.." --product alidade-taylorgreen </dev/null >&2
swift build -c release --package-path "$here/.." --product alidade-law </dev/null >&2
law=$here/../.build/release/alidade-law
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
mkdir "$out/data"
for f in "$data"/*.h5; do if [ -e "$f" ]; then ln -s "$(realpath "$f")" "$out/data/"; fi; done
"$here/../../.build/release/alidade-taylorgreen" --n "$edge" --re "$reynolds" --time "$time" --output "$out/data/taylorgreen.h5" --quiet

started=$SECONDS
# The longest first.
{ echo rows; for study in 0 2 4 1 3; do for psnr in 60 80 100; do echo "cells --study $study --psnr $psnr"; done; done; } |
  xargs -P "$jobs" -L 1 -- sh -c 'out=$1 law=$0; shift; exec "$law" "$@" --data "$out/data" --output "$out" </dev/null' "$law" "$out"
for ranks in 1 8; do mpirun --oversubscribe -n "$ranks" "$law" overlap </dev/null >"$out/overlap-$ranks.txt"; done
echo "$((SECONDS - started)) s"

mkdir -p "$results/law"
commit=$(git -C "$here" describe --always --dirty --exclude '*' 2>/dev/null || echo unknown)
"$law" report --output "$out" --results "$results/law.md" --setting "Commit $commit; Taylor-Green ${edge}^3, Re $reynolds, t = $time."
gnuplot -e "folder='$out'; plots='$results/law'" "$here/plots.gp"
