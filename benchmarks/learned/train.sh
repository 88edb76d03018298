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

# Scattering images of 32 x 32 counts, Anscombe-stabilised, 16 x 16 of them side by side: a linear code of whole images; python3 with numpy and h5py.
python3 - "$work/images.h5" <<'PY'
import sys
import h5py
sys.path.insert(0, "../papers/sl1")
from sl1 import N, scattering, stabilised

sheets, edge = 13, 16
images = stabilised(scattering(sheets * edge * edge, 7)[0]).reshape(sheets, edge, edge, N, N)
with h5py.File(sys.argv[1], "w") as f:
    f["counts"] = images.transpose(0, 1, 3, 2, 4).reshape(sheets, edge * N, edge * N)
    f["counts"].attrs["dims"] = "t,y,x"
PY
"$bin/alidade" train "$work/images.h5" -o scattering.aldm -f counts --kind autoencoder --psnr 48 --steps 0:12 --validate 12:13 \
  --patch 32 --width 0 --epochs 6 --licence Apache-2.0
