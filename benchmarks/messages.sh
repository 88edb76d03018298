#!/usr/bin/env bash
# Messages, memory and balance as the number of ranks grows, the same cells for each: one compression and one decompression, more ranks
# than cores. Messages are counted by Open MPI's monitoring layer: those sent by Alidade itself (to how many ranks, bytes), and those
# of which the library's collective calls consist. With --csv the table goes to a file.
set -euo pipefail
edge=64 csv=/dev/stdout access=tile
ranks="1 2 4 8 16 32 64"
while [ $# -gt 0 ]; do
  case $1 in
    --edge) edge=$2 ;; --ranks) ranks=$2 ;; --csv) csv=$2 ;; --access) access=$2 ;;
    *) echo "usage: messages.sh [--edge 64] [--ranks '1 2 4'] [--access tile|any] [--csv FILE]" >&2; exit 1 ;;
  esac
  shift 2
done
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=jobscripts/install.sh
. "$here/../jobscripts/install.sh"
swift build -c release --package-path "$here" --product alidade-bench </dev/null >&2
bench=$here/.build/release/alidade-bench
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# Median and largest over ranks: peers, messages and kB of Alidade's own, messages and kB inside collective calls.
count() {
  local f
  for f in "$out"/count.*.prof; do
    awk '$1 == "E" { peers++; own += $6; bytes += $4 } $1 == "I" { inner += $6; moved += $4 }
         END { print peers + 0, own + 0, bytes / 1000, inner + 0, moved / 1000 }' "$f"
  done | awk '{ for (i = 1; i <= 5; i++) v[i, NR] = $i }
    END { for (i = 1; i <= 5; i++) {
      for (a = 1; a <= NR; a++) for (b = a + 1; b <= NR; b++) if (v[i, b] + 0 < v[i, a] + 0) { t = v[i, a]; v[i, a] = v[i, b]; v[i, b] = t }
      printf ",%d,%d", v[i, int(NR / 2) + 1], v[i, NR] } print "" }'
}
row() { # RANKS CUT CASE [EDGE]
  rm -f "$out"/count.*
  local line
  line=$(OMPI_MCA_pml_monitoring_enable=2 OMPI_MCA_pml_monitoring_enable_output=3 OMPI_MCA_pml_monitoring_filename="$out/count" \
    mpirun --oversubscribe --bind-to none -n "$1" "$bench" scaling --access "$access" --edge "${4:-$edge}" --cut "$2" --case "$3" </dev/null)
  echo "$line$(count)"
}
{
  echo "case,cut,ranks,tile_edge,compress_s,write_s,decompress_s,coding_s,coding_s_max,memory_MB,memory_MB_max,peers,peers_max,messages,messages_max,kB,kB_max,collective_messages,collective_messages_max,collective_kB,collective_kB_max"
  for cut in blocks slabs; do for n in $ranks; do row "$n" "$cut" even; done; done
  for kind in even nan empty rough; do row 2 blocks "$kind" "$((2 * edge))"; done
  for kind in nan empty rough; do row 16 blocks "$kind"; done
} | tee "$csv" >&2
