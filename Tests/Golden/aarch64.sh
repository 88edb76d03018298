#!/usr/bin/env bash
# Decodes the streams of kernels.bin with the kernels built for this machine and, under emulation, for aarch64: every digest
# must be that of the file. Prints "skipped" and succeeds where the cross compiler or the emulator is missing
# (packages gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, qemu-user).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kernels=$here/../../Sources/CKernels
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

build() {  # compiler, output, further flags
  "$1" -std=c11 -O2 -Werror=incompatible-pointer-types -ffp-contract=off "${@:3}" -I"$kernels/include" -o "$2" "$here/check.c" "$kernels"/*.c -lm
}
compiler=$(command -v clang || command -v cc || true)
if [ -n "$compiler" ]; then
  build "$compiler" "$out/native"
  echo "$(uname -m):"
  "$out/native" "$here"
else
  echo "$(uname -m): skipped (no C compiler)"
fi
if ! command -v qemu-aarch64 >/dev/null || ! command -v aarch64-linux-gnu-gcc >/dev/null; then
  echo "aarch64: skipped (needs qemu-user and gcc-aarch64-linux-gnu)"
  exit 0
fi
build aarch64-linux-gnu-gcc "$out/aarch64" -static
echo "aarch64:"
qemu-aarch64 "$out/aarch64" "$here"
