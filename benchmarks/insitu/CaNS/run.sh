#!/usr/bin/env bash
# run.sh SOURCE RANKS FOLDER: triperiodic Taylor-Green vortex, 64^3, staggered grid; INSITU_STEPS, INSITU_EVERY, INSITU_BOUND, INSITU_DUMP.
set -euo pipefail
source=$(cd "$1" && pwd)
rm -rf "$3"; mkdir -p "$3/data"
export INSITU_FOLDER=$(cd "$3" && pwd) OMP_NUM_THREADS=1
steps=${INSITU_STEPS:-100} every=${INSITU_EVERY:-10}
sed -e "s/inivel = 'zer'/inivel = 'tgv'/; s/nstep = [0-9]*/nstep = $steps/; s/dt_f = -1./dt_f = 0.005/" -e "s/^l(1:3).*/l(1:3) = 6.283185307179586, 6.283185307179586, 6.283185307179586/" \
  -e "s/iout1d = [0-9]*, iout2d = [0-9]*, iout3d = [0-9]*, isave = [0-9]*/iout1d = 0, iout2d = 0, iout3d = $every, isave = 0/; s/visci = .*/visci = 1600./" \
  "$source/examples/triperiodic/input.nml" >"$3/input.nml"
cd "$3"
mpirun --oversubscribe --bind-to none -n "$2" "$source/build/cans" >log
