#!/usr/bin/env bash
# run.sh SOURCE RANKS FOLDER: a cuboid of energy expands, 64^3; INSITU_STEPS, INSITU_EVERY, INSITU_BOUND, INSITU_DUMP, INSITU_TILES per rank.
set -euo pipefail
source=$(cd "$1" && pwd)
rm -rf "$3"; mkdir -p "$3"
cd "$3"
export INSITU_FOLDER=$PWD OMP_NUM_THREADS=1
n=${INSITU_CELLS:-64}
cat >clover.in <<DECK
*clover
 state 1 density=0.2 energy=1.0
 state 2 density=1.0 energy=2.5 geometry=cuboid xmin=0.0 xmax=5.0 ymin=0.0 ymax=2.0 zmin=0.0 zmax=2.0
 x_cells=$n
 y_cells=$n
 z_cells=$n
 xmin=0.0
 ymin=0.0
 zmin=0.0
 xmax=10.0
 ymax=10.0
 zmax=10.0
 initial_timestep=0.04
 max_timestep=0.04
 end_step=${INSITU_STEPS:-60}
 visit_frequency=${INSITU_EVERY:-20}
 test_problem 1
 tiles_per_chunk ${INSITU_TILES:-1}
*endclover
DECK
mpirun --oversubscribe --bind-to none -n "$2" "$source/clover_leaf" >log 2>&1
