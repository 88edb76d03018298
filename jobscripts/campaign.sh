#!/usr/bin/env bash
# Plans a campaign and submits it: workers that compress, then one job that verifies.
#
#   jobscripts/campaign.sh run7.campaign containers/ snapshots/*.h5
#
# Settings (environment): BOUND ("--rel 1e-3", and any option of 'alidade compress' that concerns the result), WORKERS (4),
# REMOVE_ORIGINALS (no), SBATCH (words for every sbatch, e.g. "--account=abc --ntasks=64"), and those of common.sh.
# Run it again at any time, also with further snapshots: what is done stays done.
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: $0 CAMPAIGN CONTAINERS SNAPSHOT..." >&2; exit 1; }
home=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
campaign=$1 containers=$2
shift 2
bound=${BOUND:---rel 1e-3} workers=${WORKERS:-4}
export ALIDADE_HOME=$home
# shellcheck source=jobscripts/common.sh
. "$home/jobscripts/common.sh"
read -r -a words <<<"$bound"
read -r -a extra <<<"${SBATCH:-}"
"$alidade" campaign plan "$campaign" -o "$containers" "${words[@]}" -- "$@"
CAMPAIGN=$(cd "$campaign" && pwd)
export CAMPAIGN
work=$(sbatch --parsable "${extra[@]}" --array="1-$workers" "$home/jobscripts/campaign.sbatch")
check=$(sbatch --parsable "${extra[@]}" --dependency="afterok:${work%%;*}" "$home/jobscripts/verify.sbatch")
echo "compressing: job ${work%%;*}, $workers workers; then verifying: job ${check%%;*}"
echo "how far: $alidade campaign status $CAMPAIGN"
