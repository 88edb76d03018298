#!/usr/bin/env bash
# The papers' experiments (THEORY, table 8), one script per paper. What is in the work folder is not computed again; see README.md.
#   benchmarks/papers/run.sh [--data DIR] [--work DIR] [--results DIR] [PAPER...]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
data=${ALIDADE_DATA:-$here/../../../shared/data} work=$here/../.build/papers results=$here/../../docs/results papers=()
while [ $# -gt 0 ]; do
  case $1 in
    --data) data=$2; shift ;; --work) work=$2; shift ;; --results) results=$2; shift ;;
    -*) echo "usage: run.sh [--data DIR] [--work DIR] [--results DIR] [PAPER...]" >&2; exit 1 ;;
    *) papers+=("$1") ;;
  esac
  shift
done
[ ${#papers[@]} -gt 0 ] || papers=(gl sl1 gec igc)
. "$here/../../jobscripts/install.sh"
command -v gnuplot >/dev/null || { echo "error: gnuplot draws the plots; install it" >&2; exit 1; }
build=${ALIDADE_BUILD:-$here/../../.build/release}
if [ -z "${ALIDADE_BUILD:-}" ]; then
  for product in alidade alidade-taylorgreen; do swift build -c release --package-path "$here/../.." --product "$product" </dev/null >&2; done
fi
for paper in "${papers[@]}"; do
  if [ -d "$here/$paper" ]; then "$here/$paper/run.sh" --data "$data" --output "$work/$paper"; continue; fi
  [ -e "$here/$paper.py" ] || { echo "error: no paper '$paper' here" >&2; exit 1; }
  OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 "$here/$paper.py" --tool "$build/alidade" --solver "$build/alidade-taylorgreen" --data "$data" --out "$work/$paper" --results "$results"
  if [ -e "$here/$paper.gp" ]; then gnuplot -e "folder='$results/papers'" "$here/$paper.gp"; fi
done
