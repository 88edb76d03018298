#!/usr/bin/env bash
# run.sh SOURCE RANKS FOLDER: spherical blast wave, 64^3 in 8 blocks of 32^3; INSITU_STEPS, INSITU_EVERY, INSITU_BOUND, INSITU_DUMP.
set -euo pipefail
source=$(cd "$1" && pwd)
rm -rf "$3"; mkdir -p "$3"
export INSITU_FOLDER=$(cd "$3" && pwd)
cd "$3"
mpirun --oversubscribe --bind-to none -n "$2" "$source/bin/athena" -i "$source/inputs/hydro/athinput.blast" time/nlim="${INSITU_STEPS:-100}" \
  mesh/nx1=64 mesh/nx2=64 mesh/nx3=64 mesh/x2min=-0.5 mesh/x2max=0.5 meshblock/nx1=32 meshblock/nx2=32 meshblock/nx3=32 output1/dt=-1 output2/dt=-1 >log
