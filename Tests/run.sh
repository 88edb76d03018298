#!/usr/bin/env bash
# Builds everything in release mode and runs all tests; arguments go to `swift test` (e.g. --filter CodecsTests).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/jobscripts/install.sh"
cd "$root"

# Decoding on another architecture gives the same bits: the kernels, built for aarch64, decode the golden streams under
# qemu-user. Runs where a cross compiler, the emulator and Tests/Golden are present.
other_architecture() {
  local check=Tests/Golden/check.c
  if ! command -v qemu-aarch64 >/dev/null || ! command -v aarch64-linux-gnu-gcc >/dev/null || [ ! -e "$check" ]; then
    echo "aarch64: skipped (needs qemu-user, gcc-aarch64-linux-gnu and $check)"
    return 0
  fi
  local out
  out=$(mktemp -d)
  aarch64-linux-gnu-gcc -std=c11 -O2 -ffp-contract=off -static -ISources/CKernels/include -o "$out/check" \
    "$check" Sources/CKernels/*.c -lm
  qemu-aarch64 "$out/check" Tests/Golden
  rm -rf "$out"
}

# Tests look inside modules, which release builds allow only when asked; a folder of its own keeps the normal build intact.
flags=(-c release --scratch-path .build/tests -Xswiftc -enable-testing)
swift build "${flags[@]}" --build-tests </dev/null
swift test "${flags[@]}" --skip-build "$@" </dev/null
other_architecture
