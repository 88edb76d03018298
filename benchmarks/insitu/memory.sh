#!/usr/bin/env bash
# The memory table of docs/results/insitu.md: per kind of data MB of the first step and the most of two later ones, on 1, 2 and 4 ranks.
#   memory.sh PROGRAM SERIES [N]    PROGRAM: memory.c, compiled; SERIES: is replaced
set -uo pipefail
program=$1 series=$2 n=${3:-128}
echo "| data of a step | 1 rank: first step, later | 2 ranks | 4 ranks | allowed |"
echo "|---|---|---|---|---|"
while read -r what; do
  line="| $what" allowed=
  for ranks in 1 2 4; do
    # shellcheck disable=SC2086
    steps=$(mpirun --oversubscribe --bind-to none -n $ranks "$program" "$series" "$n" $what 2>/dev/null </dev/null | grep '^step')
    line+=" | $(awk '{ if (NR == 1) first = $3; else if ($3 > later) later = $3 } END { print first ", " later }' <<<"$steps")"
    allowed=$(sed -n '1s/.*above [0-9]*, \([0-9]*\) allowed.*/\1/p' <<<"$steps")
  done
  echo "$line | $allowed |"
done <<'ROWS'
4 walls scalars copied wait 3
4 wraps scalars copied wait 3
4 wraps scalars copied async 3
4 walls vector copied wait 3
4 walls vector copied async 3
4 wraps vector copied wait 3
4 wraps vector copied async 3
3 walls vector copied wait 3
3 wraps vector copied wait 3
3 wraps vector copied async 3
3 wraps vector copied wait 3 rate
3 wraps vector copied wait 3 rough
3 walls vector copied wait 3 rate
3 walls vector copied wait 3 rough
4 walls scalars borrowed wait 3
3 wraps vector borrowed async 3
4 walls vector copied wait 4 keys
4 wraps vector copied wait 4 keys
ROWS
