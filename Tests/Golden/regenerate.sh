#!/usr/bin/env bash
# Writes all golden streams anew, after a change of the format: *.ald and digests.txt by RankTests, kernels.bin by check.c.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
. "$root/jobscripts/install.sh"
cd "$root"
swift build -c release --scratch-path .build/tests -Xswiftc -enable-testing --product RankTests </dev/null
.build/tests/release/RankTests golden-write
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
cc -std=c11 -O2 -Werror=incompatible-pointer-types -ffp-contract=off -ISources/CKernels/include -o "$out/check" Tests/Golden/check.c Sources/CKernels/*.c -lm
"$out/check" Tests/Golden write
"$here/aarch64.sh"
