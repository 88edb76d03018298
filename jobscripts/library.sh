#!/usr/bin/env bash
# Links libalidade.so: one file that needs nothing but MPI and the C library, exports the functions of alidade.h alone, and starts no thread.
#   library.sh ARCHIVE FOLDER    ARCHIVE: libAlidadeInSitu.a of `swift build --product AlidadeInSitu`
# The Swift runtime, HDF5, LAPACK, zstd and xxHash go in as static libraries with hidden symbols, so that a host's own copies of any
# version are left alone. HDF5's static library is not position-independent where it touches data of other libraries, and it is never
# asked for parallel files: those symbols are renamed and given local stand-ins, and MPI looks to it as if it had not been started.
set -euo pipefail
archive=$1 folder=$2
mkdir -p "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

find_static() {  # NAME [pkg-config module]: its path
  local dir
  for dir in $(pkg-config --variable=libdir "${2:-$1}" 2>/dev/null || true) \
             $(pkg-config --libs-only-L "${2:-$1}" 2>/dev/null | sed 's/-L//g') \
             "$(dirname "$(gcc -print-file-name="lib$1.so")")" "$(dirname "$(gcc -print-file-name="lib$1.a")")"; do
    if [ -e "$dir/lib$1.a" ]; then echo "$dir/lib$1.a"; return; fi
  done
  echo "error: no static library lib$1.a" >&2
  return 1
}

# LAPACK of the reference: single-threaded, where OpenBLAS would start threads as soon as it is loaded. Its error routine ends the
# process; ours returns.
lapack=$(dirname "$(gcc -print-file-name=liblapacke.a)")/lapack/liblapack.a
blas=$(dirname "$(gcc -print-file-name=liblapacke.a)")/blas/libblas.a

# What HDF5 takes from MPI, from libraries for remote files and filters that containers never use, and the data of the C library.
hdf5=$(find_static hdf5 hdf5-openmpi)
nm "$hdf5" 2>/dev/null | awk '$1 == "U" { print $2 }' | sort -u >"$work/used"
grep -E '^(MPI_|ompi_|OMPI_|EVP_|HMAC|SHA256|curl_|SZ_|stderr$|stdout$)' "$work/used" >"$work/renamed"
sed 's/.*/& ald_hdf5_&/' "$work/renamed" >"$work/map"
objcopy --redefine-syms="$work/map" "$hdf5" "$work/libhdf5.a" 2>/dev/null
{
  echo '#include <stdio.h>'
  while read -r symbol; do
    case $symbol in
      stderr | stdout) echo "FILE *ald_hdf5_$symbol;" ;;
      MPI_Initialized | MPI_Finalized) echo "int ald_hdf5_$symbol(int *flag) { *flag = 0; return 0; }" ;;
      ompi_*) echo "char ald_hdf5_${symbol}[64];" ;;
      *) echo "int ald_hdf5_$symbol(void) { return 16; }" ;;
    esac
  done <"$work/renamed"
  # Nothing reaches the host's output.
  echo '__attribute__((constructor)) static void streams(void) { ald_hdf5_stderr = ald_hdf5_stdout = stderr; }'
  echo 'void openblas_set_num_threads(int n) { (void)n; }'
  echo 'void xerbla_(const char *name, const int *info, unsigned long length) { (void)name; (void)info; (void)length; }'
} >"$work/standins.c"
gcc -O2 -fPIC -fvisibility=hidden -w -c "$work/standins.c" -o "$work/standins.o"

# What the header declares, and no more.
header=$(dirname "${BASH_SOURCE[0]}")/../Sources/CAlidade/include/alidade.h
{
  echo '{ global:'
  grep -oE '^[a-z][a-z0-9_ *]*\bald_[a-z_]+\(' "$header" | grep -oE 'ald_[a-z_]+\(' | sed 's/(/;/'
  echo 'local: *; };'
} >"$work/exports"
mpi=$(pkg-config --libs ompi-c)
# One object: what comes out of archives is hidden along with the Swift runtime.
ld -r -o "$work/alidade.o" --whole-archive "$archive"
# shellcheck disable=SC2046
static=$(for f in "$work/libhdf5.a" "$(find_static lapacke)" "$lapack" "$blas" "$(find_static zstd libzstd)" "$(find_static xxhash libxxhash)" "$(find_static z zlib)"; do
  printf ' -Xlinker %s' "$f"
done)
# shellcheck disable=SC2086
swiftc -emit-library -static-stdlib -o "$folder/libalidade.so.0.1" -module-name libalidade "$work/alidade.o" "$work/standins.o" $static \
  -lFoundation -lCoreFoundation -lFoundationInternationalization -lFoundationEssentials -l_FoundationICU -l_FoundationCollections -l_FoundationCShims \
  -lswiftSynchronization -lswift_StringProcessing -lswift_RegexParser -lswift_Concurrency -lswiftDispatch \
  -Xlinker --version-script="$work/exports" -Xlinker -soname=libalidade.so.0 -Xlinker --gc-sections -Xlinker -z -Xlinker nodelete \
  -Xlinker -z -Xlinker defs -Xlinker -s \
  $mpi -lgfortran -lquadmath -lm -ldl -lpthread
ln -sf libalidade.so.0.1 "$folder/libalidade.so.0"
ln -sf libalidade.so.0 "$folder/libalidade.so"
