#!/usr/bin/env bash
# GL-1 ... GL-12 for learned codecs: trains what is not there yet, then writes docs/results/papers-gl.md. Python with numpy, scipy, h5py and torch.
#   benchmarks/papers/gl/run.sh [--data DIR] [--output DIR] [--seconds N] [OPTIONS of gl.py]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
data=${ALIDADE_DATA:-$here/../../../../shared/data} output=$here/out seconds=3600 rest=()
while [ $# -gt 0 ]; do
  case $1 in
    --data) data=$2; shift 2 ;; --output) output=$2; shift 2 ;; --seconds) seconds=$2; shift 2 ;;
    *) rest+=("$1"); shift ;;
  esac
done
mkdir -p "$output"
if [ ! -e "$output/taylorgreen.h5" ]; then
  swift build -c release --package-path "$here/../../.." --product alidade-taylorgreen </dev/null >&2
  "$here/../../../.build/release/alidade-taylorgreen" --n 64 --re 800 --time 10 --every 1 --perturb 0.05 --single-file --output "$output/taylorgreen.h5" --quiet
fi
python3 "$here/gl.py" --data "$data" --output "$output" --taylorgreen "$output/taylorgreen.h5" --seconds "$seconds" ${rest[@]+"${rest[@]}"}
python3 "$here/report.py" "$output" >"$here/../../../docs/results/papers-gl.md"
