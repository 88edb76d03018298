#!/usr/bin/env bash
# run.sh SOURCE RANKS FOLDER: spherical blast wave, 64^3 in 8 blocks of 32^3; INSITU_STEPS, INSITU_EVERY, INSITU_BOUND, INSITU_DUMP.
set -euo pipefail
source=$(cd "$1" && pwd)
rm -rf "$3"; mkdir -p "$3"
cd "$3"
export INSITU_FOLDER=$PWD
cp "$source/inputs/hydro/athinput.blast" athinput
printf '<meshblock>\nnx1 = 32\nnx2 = 32\nnx3 = 32\n' >>athinput
mpirun --oversubscribe --bind-to none -n "$2" "$source/bin/athena" -i athinput time/nlim="${INSITU_STEPS:-100}" \
  mesh/nx1=64 mesh/nx2=64 mesh/nx3=64 mesh/x2min=-0.5 mesh/x2max=0.5 output1/dt=-1 output2/dt=-1 >log
