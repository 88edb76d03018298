#!/usr/bin/env bash
# Makes sure that everything needed to build and run Alidade is there; installs Debian packages where something is missing
# and we may. Sourced by quickstart.sh and Tests/run.sh, or run by itself.
#   install.sh --prefix P    also builds everything and puts it under P: programs, libalidade, headers, modules, the Python package
set -euo pipefail

alidade_missing() {
  local module
  command -v pkg-config >/dev/null || { echo pkg-config; return; }
  for module in ompi-c hdf5-openmpi fftw3 libzstd libxxhash lapacke openblas; do
    pkg-config --exists "$module" || echo "$module"
  done
  command -v mpirun >/dev/null || echo mpirun
  command -v gnuplot >/dev/null || echo gnuplot
  command -v mpif90 >/dev/null || echo mpif90
  command -v gfortran >/dev/null || echo gfortran
  # fftw3-mpi has no pkg-config file: ask the compiler's search path.
  local found=no dir
  for dir in /usr/include /usr/local/include ${CPATH//:/ } $(pkg-config --variable=includedir fftw3 2>/dev/null || true); do
    if [ -e "$dir/fftw3-mpi.h" ]; then found=yes; fi
  done
  if [ "$found" = no ]; then echo fftw3-mpi; fi
}

alidade_install() {
  CPATH=${CPATH:-}
  local missing
  missing=$(alidade_missing | tr '\n' ' ')
  if [ -n "${missing// /}" ]; then
    echo "missing: $missing"
    command -v apt-get >/dev/null || { echo "error: install these, or load their modules, so that pkg-config finds them" >&2; return 1; }
    local root=
    if [ "$(id -u)" != 0 ]; then
      command -v sudo >/dev/null || { echo "error: neither root nor sudo; ask for these packages" >&2; return 1; }
      root=sudo
    fi
    $root env DEBIAN_FRONTEND=noninteractive apt-get update -q </dev/null
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
      pkg-config libopenmpi-dev openmpi-bin libhdf5-openmpi-dev libfftw3-dev libfftw3-mpi-dev libzstd-dev libxxhash-dev liblapacke-dev libopenblas-dev \
      hdf5-tools gnuplot-nox libc6-dev binutils openssh-client zlib1g-dev liblapack-dev libblas-dev gcc g++ gfortran python3-numpy python3-mpi4py </dev/null
  fi
  command -v swift >/dev/null || {
    echo "error: no Swift compiler; install Swift 6.3 from swift.org and put its usr/bin on PATH" >&2
    return 1
  }
}

# OpenMPI as root (containers) and with more ranks than cores: waiting ranks give way.
alidade_environment() {
  if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
  export OMPI_MCA_mpi_yield_when_idle=1
}

alidade_prefix() {
  local root prefix
  root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
  mkdir -p "$1"
  prefix=$(cd "$1" && pwd)
  (cd "$root" && for product in alidade alidade-taylorgreen AlidadeInSitu; do swift build -c release --static-swift-stdlib --product "$product"; done) </dev/null
  install -D -t "$prefix/bin" "$root/.build/release/alidade" "$root/.build/release/alidade-taylorgreen"
  "$root/jobscripts/install_library.sh" "$prefix" "$root/.build/release/libAlidadeInSitu.a"
  cat <<SAY
installed under $prefix
  C, C++:   pkg-config --cflags --libs alidade   with PKG_CONFIG_PATH=$prefix/lib/pkgconfig, or find_package(Alidade) with CMAKE_PREFIX_PATH=$prefix
  Fortran:  mpif90 -I$prefix/include ... -L$prefix/lib -lalidade_fortran -lalidade
  Python:   pip install $prefix/share/alidade/python
SAY
}

alidade_install
alidade_environment
if [ "${BASH_SOURCE[0]}" = "$0" ] && [ "${1:-}" = --prefix ]; then alidade_prefix "${2:?--prefix takes a folder}"; fi
