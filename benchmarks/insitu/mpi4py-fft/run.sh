#!/usr/bin/env bash
# run.sh SOURCE RANKS FOLDER: Taylor-Green vortex, 64^3; INSITU_STEPS, INSITU_EVERY, INSITU_BOUND, INSITU_DUMP. PYTHON: with mpi4py-fft.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) source=$(cd "$1" && pwd)
rm -rf "$3"; mkdir -p "$3"
export INSITU_FOLDER=$(cd "$3" && pwd) INSITU_STEPS=${INSITU_STEPS:-100} OMP_NUM_THREADS=1
export PYTHONPATH=$here:$PREFIX/share/alidade/python
mpirun --oversubscribe --bind-to none -n "$2" "${PYTHON:-python3}" "$source/examples/spectral_dns_solver.py"
