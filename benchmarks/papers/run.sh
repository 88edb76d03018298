#!/usr/bin/env bash
# The papers' experiments (THEORY, table 8). What is in the work folder is not computed again; see README.md.
#   benchmarks/papers/run.sh [--quick] [--data DIR] [--work DIR] [--results DIR] [PAPER...]
# --quick: a few cells with short trainings, to see that it runs; results go to the work folder.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
data=${ALIDADE_DATA:-$here/../../../shared/data} work=$here/../.build/papers results=$here/../../docs/results quick='' papers=()
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=--quick ;;
    --data) data=$2; shift ;; --work) work=$2; shift ;; --results) results=$2; shift ;;
    -*) echo "usage: run.sh [--quick] [--data DIR] [--work DIR] [--results DIR] [PAPER...]" >&2; exit 1 ;;
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
[ -z "$quick" ] || { work=$work/quick; results=$work; }
mkdir -p "$results/papers"
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

# Every cell from the law's linear codec; at the middle rate also from scratch, and with four times the weight.
gl() {
  python3 -c 'import torch' 2>/dev/null || { echo "gl: python3 has no torch (PYTHONPATH?), left out" >&2; return; }
  if [ -n "$quick" ]; then
    python3 "$here/gl/gl.py" --data "$data" --output "$1" --domains turb2d --observables box energy --updates 40
  else
    if [ ! -e "$1/taylorgreen.h5" ]; then
      "$build/alidade-taylorgreen" --n 64 --re 800 --time 10 --every 1 --perturb 0.05 --single-file --output "$1/new.h5" --quiet
      mv "$1/new.h5" "$1/taylorgreen.h5"
    fi
    local words=(--data "$data" --output "$1" --taylorgreen "$1/taylorgreen.h5")
    python3 "$here/gl/gl.py" "${words[@]}" --starts law
    python3 "$here/gl/gl.py" "${words[@]}" --starts plain --rates middle
    python3 "$here/gl/gl.py" "${words[@]}" --starts law --rates middle --weights 4
  fi
  python3 "$here/gl/report.py" "$1" "$results"
}

sl1() {
  local words=(--output "$1" --tool "$build/alidade")
  [ -e "$data/sans2d_detector.h5" ] && words+=(--data "$data")
  [ -n "$quick" ] && words+=(--train 128 --images 128 --rounds 2 --over 1 0.03125 --penalties 8 --code-steps 6 --steps 10 --neighbours 64)
  python3 "$here/sl1/sl1.py" "${words[@]}"
  if python3 -c 'import xxhash' 2>/dev/null; then
    local few=(); [ -z "$quick" ] || few=(--train 160 --images 32 --rounds 1 --psnr 40)
    python3 "$here/sl1/codec.py" --alidade "$build/alidade" --output "$1/codec" "${few[@]}"
  else echo "sl1: python3 has no xxhash, SL1-7 left out" >&2; fi
  python3 "$here/sl1/report.py" "$1" "$results"
}

for paper in "${papers[@]}"; do
  mkdir -p "$work/$paper"
  case $paper in
    gl | sl1) "$paper" "$work/$paper" ;;
    gec | igc) python3 "$here/$paper.py" --tool "$build/alidade" --solver "$build/alidade-taylorgreen" --data "$data" --out "$work/$paper" --results "$results" $quick ;;
    *) echo "error: no paper '$paper' here" >&2; exit 1 ;;
  esac
  if [ -e "$here/$paper.gp" ] && [ -z "$quick" ]; then gnuplot -e "folder='$results/papers'" "$here/$paper.gp"; fi
done
