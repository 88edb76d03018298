#!/usr/bin/env bash
# A cost model of compression and decompression: work per cell from one rank at several sizes, messages and bytes per rank and phase from 2 to 64
# ranks (counted, so the machine may be as busy as it likes), latency and bandwidth of this machine from its own messages; fitted, checked against
# two ranks, and extrapolated to 10^5 ranks of a machine whose parameters are given. model.py writes the tables.
set -euo pipefail
edge=64 out=model ranks="2 4 8 16 32 64" edges="64 128 256" latency=2e-6 bandwidth=1e10 disk=5e11
while [ $# -gt 0 ]; do
  case $1 in
    --edge) edge=$2 ;; --out) out=$2 ;; --ranks) ranks=$2 ;; --edges) edges=$2 ;;
    --latency) latency=$2 ;; --bandwidth) bandwidth=$2 ;; --disk) disk=$2 ;;
    *) echo "usage: model.sh [--out FOLDER] [--edge 64] [--edges '64 128 256'] [--ranks '2 4 8'] [--latency 2e-6] [--bandwidth 1e10] [--disk 5e11]" >&2; exit 1 ;;
  esac
  shift 2
done
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=jobscripts/install.sh
. "$here/../jobscripts/install.sh"
swift build -c release --package-path "$here" --product alidade-bench </dev/null >&2
bench=$here/.build/release/alidade-bench
mkdir -p "$out"
rm -f "$out"/phases.csv "$out"/network-*.txt "$out"/two.txt
run() { mpirun --oversubscribe --bind-to none -n "$@" </dev/null; }
for n in 2 4 8; do run "$n" "$bench" network >"$out/network-$n.txt"; done
for e in $edges; do for _ in 1 2 3; do run 1 "$bench" scaling --edge "$e" --cut slabs --phases "$out/phases.csv" >/dev/null; done; done
for cut in slabs blocks; do for n in $ranks; do run "$n" "$bench" scaling --edge "$edge" --cut "$cut" --phases "$out/phases.csv" >/dev/null; done; done
# The check: seconds to compress and to decompress on two ranks, of which each has a core.
for _ in 1 2 3 4 5; do run 2 "$bench" scaling --edge "$edge" --cut slabs >>"$out/two.txt"; done
python3 "$here/model.py" "$out" --edge "$edge" --latency "$latency" --bandwidth "$bandwidth" --disk "$disk"
