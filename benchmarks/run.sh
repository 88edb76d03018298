#!/usr/bin/env bash
# Speed and memory of the pipeline on a generated 256^3 field and on other fields, as tables; with --results also as rows of
# docs/results/*.csv. Other fields: arguments after --, as alidade-bench takes them, e.g.
#   benchmarks/run.sh --results -- --input turb3d.h5 --field velocity --step 7 --label turb3d
set -euo pipefail
edge=256 psnr=80 runs=5
results=
if [ "${1:-}" = --results ]; then results=yes; shift; fi
if [ "${1:-}" = -- ]; then shift; fi
echo "edge $edge, psnr $psnr, runs $runs, other field: $*"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../jobscripts/install.sh"
swift build -c release --package-path "$here" --product alidade-bench </dev/null >&2
bench=$here/.build/release/alidade-bench
# Files on a memory file system: the pipeline is measured, not the disk.
out=$(mktemp -d -p "$([ -d /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")")
trap 'rm -rf "$out"' EXIT
csv() { if [ -n "$results" ]; then mkdir -p "$here/../docs/results"; echo --csv "$here/../docs/results/$1.csv"; fi; }

"$bench" field --edge "$edge" --output "$out/turbulence.f32"
field=(--input "$out/turbulence.f32" --raw-shape "$edge,$edge,$edge" --periodic xyz --label "turbulence_$edge")
# shellcheck disable=SC2046
{
  if [ $# -gt 0 ]; then "$bench" speed "$@" --psnr "$psnr" --runs "$runs" --scratch "$out" $(csv speed); fi
  "$bench" speed "${field[@]}" --psnr "$psnr" --runs "$runs" --scratch "$out" $(csv speed)
  for ranks in 1 2 4; do
    for operation in compress decompress; do
      mpirun --oversubscribe --bind-to none -n "$ranks" "$bench" memory "${field[@]}" --psnr "$psnr" --operations "$operation" \
        --scratch "$out" $(csv memory) </dev/null
    done
  done
}
