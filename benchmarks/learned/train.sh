#!/usr/bin/env bash
# Makes the models of this folder anew (some minutes on a core); needs alidade-train, see docs/learned.md. Bytes differ between machines.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
bin=../../.build/release work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Taylor-Green vortex, t = 4 ... 8; validated at t = 9, for later times.
"$bin/alidade-taylorgreen" --n 64 --re 800 --time 12 --every 1 --perturb 0.05 --single-file --output "$work/tg.h5"
"$bin/alidade" train "$work/tg.h5" -o taylorgreen.aldm -f velocity --psnr 45 --steps 3:8 --validate 8:9 \
  --epochs 40 --batch 4 --learning-rate 0.03 --width 32 --blocks 1 --licence Apache-2.0
