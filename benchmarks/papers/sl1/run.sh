#!/usr/bin/env bash
# SL1-1 ... SL1-7: does what is not there yet, then writes docs/results/papers-sl1.md. Python with numpy and h5py.
#   benchmarks/papers/sl1/run.sh [--data DIR] [--output DIR] [--seconds N] [OPTIONS of sl1.py]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
data=${ALIDADE_DATA:-$here/../../../../shared/data} output=$here/out seconds=3600 rest=()
while [ $# -gt 0 ]; do
  case $1 in
    --data) data=$2; shift 2 ;; --output) output=$2; shift 2 ;; --seconds) seconds=$2; shift 2 ;;
    *) rest+=("$1"); shift ;;
  esac
done
[ -e "$data/sans2d_detector.h5" ] && rest+=(--data "$data")
python3 "$here/sl1.py" --output "$output" --seconds "$seconds" ${rest[@]+"${rest[@]}"}
python3 "$here/report.py" "$output" >"$here/../../../docs/results/papers-sl1.md"
