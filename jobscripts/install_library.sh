#!/usr/bin/env bash
# Puts libalidade with its headers, modules and package files under a prefix.
#   install_library.sh PREFIX ARCHIVE    ARCHIVE: libAlidadeInSitu.a of `swift build --product AlidadeInSitu`
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "$1"
prefix=$(cd "$1" && pwd) archive=$2 bindings=$root/Sources/Bindings
version=0.1.0

"$root/jobscripts/library.sh" "$archive" "$prefix/lib"
install -D -m 644 "$root/Sources/CAlidade/include/alidade.h" "$prefix/include/alidade.h"
install -D -m 644 "$bindings/cpp/alidade.hpp" "$prefix/include/alidade.hpp"
install -D -m 644 "$bindings/fortran/alidade.f90" "$prefix/share/alidade/alidade.f90"

# The same ABI without the inside: LD_LIBRARY_PATH=PREFIX/lib/alidade-stub turns output off.
mkdir -p "$prefix/lib/alidade-stub"
mpicc -O2 -fPIC -shared -Wl,-soname,libalidade.so.0 -I"$prefix/include" "$bindings/stub/alidade_stub.c" -o "$prefix/lib/alidade-stub/libalidade.so.0"
ln -sf libalidade.so.0 "$prefix/lib/alidade-stub/libalidade.so"

# The module for the compiler behind mpif90; users of others compile share/alidade/alidade.f90 themselves.
fortran=
if command -v mpif90 >/dev/null && mpif90 --version >/dev/null 2>&1; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  (cd "$work" && mpif90 -O2 -fPIC -ffree-line-length-none -c "$prefix/share/alidade/alidade.f90" && ar rcs libalidade_fortran.a alidade.o)
  install -m 644 "$work/alidade.mod" "$prefix/include/"
  install -m 644 "$work/libalidade_fortran.a" "$prefix/lib/"
  fortran=-lalidade_fortran
fi

mkdir -p "$prefix/lib/pkgconfig" "$prefix/lib/cmake/Alidade" "$prefix/share/alidade"
cat >"$prefix/lib/pkgconfig/alidade.pc" <<PC
prefix=$prefix
fortran=$fortran
Name: alidade
Description: Compressed simulation output with guaranteed error bounds
Version: $version
Cflags: -I"\${prefix}/include"
Libs: -L"\${prefix}/lib" -lalidade
PC
install -m 644 "$bindings"/cmake/*.cmake "$prefix/lib/cmake/Alidade/"
rm -rf "$prefix/share/alidade/python"
cp -r "$bindings/python" "$prefix/share/alidade/python"
rm -rf "$prefix/share/alidade/python/alidade/__pycache__"
sed -i "s|^library = None|library = \"$prefix/lib/libalidade.so.0\"|" "$prefix/share/alidade/python/alidade/_where.py"
