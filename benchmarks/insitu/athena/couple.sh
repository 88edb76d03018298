#!/usr/bin/env bash
# couple.sh SOURCE: adds the hook to the blast problem and builds.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$1"
git checkout -q -- src/pgen/blast.cpp
cp "$here/alidade_hook.cpp" src/pgen/alidade_hook.inc
sed -i -e '/^void Mesh::UserWorkAfterLoop/i #include "alidade_hook.inc"' -e '/^void Mesh::UserWorkAfterLoop/a \  alidade_end();' src/pgen/blast.cpp
[ -e Makefile ] || python3 configure.py --prob=blast -mpi --flux=hllc
make CXXFLAGS="${CXXFLAGS:--O2 -std=c++11} -I$PREFIX/include" LDFLAGS="-L$PREFIX/lib -Wl,-rpath,$PREFIX/lib" LDLIBS=-lalidade -j 2
