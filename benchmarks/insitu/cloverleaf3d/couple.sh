#!/usr/bin/env bash
# couple.sh SOURCE: puts our `visit` in the place of CloverLeaf3D's and builds, without OpenMP.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$1"
cp "$here/alidade_hook.f90" visit.f90
cp "$PREFIX/share/alidade/alidade.f90" .
# Its makefile compiles the files it names in one command: ours goes first, for its module.
sed -i 's/^\tdata\.f90/\talidade.f90                     \\\n&/; t; s/\bdata\.f90/alidade.f90 data.f90/' Makefile
make COMPILER=GNU OMP_GNU= OPTIONS="-fallow-argument-mismatch -Wl,--no-as-needed -L$PREFIX/lib -lalidade -Wl,-rpath,$PREFIX/lib" C_OPTIONS=
