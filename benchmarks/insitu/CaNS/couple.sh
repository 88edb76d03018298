#!/usr/bin/env bash
# couple.sh SOURCE: SOURCE is CaNS with its 2decomp-fft in dependencies/2decomp-fft. Adds the hook's call to out3d.h90 and the module to src, and builds.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$1"
git checkout -q -- src/out3d.h90 src/main.f90
cp "$here/alidade_hook.f90" "$PREFIX/share/alidade/alidade.f90" src/
cat >src/out3d.h90 <<'H90'
  call alidade_output(ng,lo,hi,1,l,[cbcpre(0,:)//cbcpre(1,:) == 'PP'],istep,time,u,v,w,p)
H90
sed -i -e '0,/use mod_initmpi/s//use mod_alidade_hook, only: alidade_output,alidade_end\n  use mod_initmpi/' \
  -e 's/^  call decomp_2d_finalize/  call alidade_end\n&/' src/main.f90
[ -e build.conf ] || cp configs/defaults/build-default.conf build.conf
make libs
make FFLAGS="-O3 -ffree-line-length-none" LIBS="-L$PREFIX/lib -lalidade -Wl,-rpath,$PREFIX/lib -Ldependencies/2decomp-fft -ldecomp2d -lfftw3"
