#!/usr/bin/env bash
# From nothing to a compressed snapshot and its report:
#
#   jobscripts/quickstart.sh             simulates a Taylor-Green vortex, then compresses it
#   jobscripts/quickstart.sh FILE.h5     compresses your own HDF5 or NetCDF-4 file
#
# Settings (environment): RANKS (4), BOUND ("--rel 1e-3"), N (64), RE (800), TIME (9), OUT (a new folder).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
file=
if [ $# -gt 1 ]; then echo "usage: $0 [FILE]" >&2; exit 1; fi
if [ $# = 1 ]; then
  [ -r "$1" ] || { echo "error: cannot read '$1'" >&2; exit 2; }
  file=$(realpath -- "$1")
fi
ranks=${RANKS:-4} bound=${BOUND:---rel 1e-3} n=${N:-64} re=${RE:-800} time=${TIME:-9}
out=${OUT:-$(mktemp -d "${TMPDIR:-/tmp}/alidade-quickstart.XXXXXX")}
mkdir -p "$out"
out=$(cd "$out" && pwd)
echo "ranks=$ranks bound='$bound' n=$n re=$re time=$time out=$out"

. "$root/jobscripts/install.sh"
cd "$root"
swift build -c release --product alidade </dev/null
swift build -c release --product alidade-taylorgreen </dev/null
bin=$(swift build -c release --show-bin-path)
run() { echo; echo "+ $*"; "$@" </dev/null; }
job() { run mpirun --oversubscribe --bind-to none -n "$ranks" "$@"; }

if [ -z "$file" ]; then
  file=$out/taylorgreen.h5
  job "$bin/alidade-taylorgreen" --n "$n" --re "$re" --time "$time" --perturb 0.01 --output "$file"
fi
# shellcheck disable=SC2086  # the bound is two words
job "$bin/alidade" compress "$file" -o "$out/snapshot.ald" $bound --report "$out/compress.json" --quiet
job "$bin/alidade" verify "$out/snapshot.ald" --against "$file" --quiet
job "$bin/alidade" decompress "$out/snapshot.ald" -o "$out/decoded.h5" --quiet
job "$bin/alidade" compare "$file" "$out/decoded.h5" --report "$out/compare.json"
run "$bin/alidade" inspect "$out/snapshot.ald"
run "$bin/alidade" report "$out/compress.json" "$out/compare.json" -o "$out/report.html" --container "$out/snapshot.ald" --original "$file"
echo
ls -l "$out"
