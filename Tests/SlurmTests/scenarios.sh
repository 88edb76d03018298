#!/usr/bin/env bash
# The shipped job scripts, unchanged, on a real Slurm: success, cancelling, requeue and resume, a killed rank, a failing task.
#   scenarios.sh FOLDER-OF-PROGRAMS WORKPLACE        exit 0: all held, 77: no Slurm here, else what failed is on the output
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
bin=$(cd "$1" && pwd) place=$2
cd "$place" || exit 2
. "$root/Tests/SlurmTests/cluster.sh"
trap 'cluster_stop "$place/slurm"' EXIT
cluster_start "$place/slurm" || exit $?

export ALIDADE=$bin/alidade ALIDADE_HOME=$root SOLVER=$bin/alidade-taylorgreen
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1
export SBATCH="--ntasks=2 --time=10" LEASE=20
bad=0
say() { printf '%4ds  %s\n' "$SECONDS" "$*"; }
expect() { # WHAT GOT WANTED
  if [ "$2" = "$3" ]; then say "ok    $1"; else say "FAIL  $1: '$2', not '$3'"; bad=$((bad + 1)); fi
}
field() { scontrol -o show job "$1" 2>/dev/null | head -n 1 | grep -o " $2=[^ ]*" | cut -d= -f2; }
# Waits until a job has one of these states; an array job when no task of it is left.
until_state() { # JOB STATE... within 90 s
  local job=$1 now; shift
  for _ in $(seq 360); do
    now=$(field "$job" JobState)
    for s in "$@"; do if [ "$now" = "$s" ]; then return 0; fi; done
    sleep 0.25
  done
  say "job $job stays $now"
}
until_done() { until_state "$1" COMPLETED FAILED CANCELLED TIMEOUT NODE_FAIL; }
until_gone() { for _ in $(seq 600); do [ -z "$(squeue -h -j "$1" -t PD,R,CG 2>/dev/null)" ] && return; sleep 0.2; done; say "job $1 does not end"; }
records() { grep -ls '"state" : "done"' "$1"/records/*.json 2>/dev/null | wc -l; }
ranks_of() { pgrep -f "^[^ ]*alidade campaign run $place/$1 " || true; }
# Until a campaign is some snapshots further and in the middle of one; there its ranks are held, as commands to Slurm take their time.
freeze() { # CAMPAIGN
  local wanted=$(($(records "$1") + 1))
  for _ in $(seq 1000); do
    if [ "$(records "$1")" -ge "$wanted" ]; then
      sleep "0.0$((RANDOM % 10))"
      signal STOP "$1"
      return
    fi
    sleep 0.02
  done
  say "campaign $1 does not get on"
}
# shellcheck disable=SC2046
signal() { kill "-$1" $(ranks_of "$2") 2>/dev/null; }
sums() { (cd "$1" && sha256sum ./*.ald); }
# Snapshots that were finished more than once, by the workers' own words.
twice() { cat "$@" | grep -oE '^flow\.[0-9]+  done' | sort | uniq -d | wc -l; }
submit() { # CAMPAIGN NAME: one worker
  CAMPAIGN=$place/$1 sbatch --parsable --ntasks=2 --time=10 --array=1 --output="$2-%A.log" "$root/jobscripts/campaign.sbatch"
}

# Slurm lets a requeued job wait two minutes; two seconds are enough for the credentials of its first life to be told from the new ones.
restart() {
  until_state "$1" PENDING
  sleep 2.5
  scontrol update JobId="$1" StartTime=now
  until_state "$1" RUNNING
}

# 20 flows on 48^3 cells.
mkdir -p in
"$SOLVER" --n 48 --re 200 --time 1 --every 0.05 --perturb 0.05 --quiet --output in/flow.h5 >/dev/null
expect "snapshots made" "$(find in -name '*.h5' | wc -l)" 20
"$ALIDADE" campaign plan calm -o calm.out --rel 1e-4 in/*.h5 >/dev/null
"$ALIDADE" campaign run calm -q 2>calm.log
sums calm.out >calm.sums
say "undisturbed: $(wc -l <calm.sums) containers"

# 1 Success: plan, two workers, verification after both, originals removed.
cp -r in in1
WORKERS=2 REMOVE_ORIGINALS=yes BOUND="--rel 1e-4" "$root/jobscripts/campaign.sh" full.campaign full.out in1/*.h5 >full.log 2>&1
cat full.log
work=$(sed -n 's/^compressing: job \([0-9]*\).*/\1/p' full.log) check=$(sed -n 's/.*verifying: job \([0-9]*\).*/\1/p' full.log)
until_gone "$work"
until_done "$check"
expect "verify job after the workers" "$(field "$check" ExitCode)" 0:0
sums full.out >full.sums
expect "containers as undisturbed" "$(cmp calm.sums full.sums && echo same)" same
expect "done twice" "$(twice alidade-campaign-"$work"-*.out)" 0
expect "originals removed" "$(find in1 -name '*.h5' | wc -l)" 0
expect "verified in the manifest" "$(grep -ls '"verified" : "bounds"' full.campaign/records/*.json | wc -l)" 20
"$ALIDADE" campaign run full.campaign 2>&1 | tail -n 1

# 2 One campaign, disturbed at five seeded moments.
RANDOM=20260101
"$ALIDADE" campaign plan rough -o rough.out --rel 1e-4 in/*.h5 >/dev/null
# Warned: stops with 75, requeues itself, goes on.
job=$(submit rough rough)
check=$(CAMPAIGN=$place/rough sbatch --parsable --ntasks=2 --dependency="afterok:$job" "$root/jobscripts/verify.sbatch")
freeze rough
scancel --signal=USR1 --batch "$job"
signal CONT rough
for _ in $(seq 100); do [ "$(field "$job" Restarts)" = 1 ] && break; sleep 0.2; done
expect "requeued after USR1" "$(field "$job" Restarts)" 1
restart "$job"
expect "what waits for it goes on waiting" "$(field "$check" Reason)" Dependency
freeze rough
expect "the log is appended to" "$(grep -c 'restarts=' rough-"${job%%_*}".log)" 2
# Requeued from outside, as by preemption.
scontrol requeue "$job"
for _ in $(seq 100); do [ "$(field "$job" Restarts)" = 2 ] && break; sleep 0.2; done
restart "$job"
freeze rough
say "$(records rough) of 20 done, the job restarted $(field "$job" Restarts) times"
# Cancelled: not requeued.
scancel "$job"
until_gone "$job"
expect "cancelled" "$(field "$job" JobState)" CANCELLED
scancel "$check"
# A rank killed.
job=$(submit rough rough)
freeze rough
kill -9 "$(ranks_of rough | tail -n 1)" 2>/dev/null
signal CONT rough
until_gone "$job"
expect "a killed rank fails the job" "$(field "$job" JobState)" FAILED
# All of it killed at once, the script too: nobody says goodbye.
job=$(submit rough rough)
freeze rough
mapfile -t victims < <(ranks_of rough; pgrep -f "$place/slurm/spool/job[0-9]*/slurm_script")
kill -9 "${victims[@]}" 2>/dev/null
until_gone "$job"
expect "a killed script fails the job" "$(field "$job" JobState)" FAILED
say "before the last job: $(records rough) of 20 done"
job=$(submit rough rough)
until_gone "$job"
expect "the last job" "$(field "$job" ExitCode)" 0:0
sums rough.out >rough.sums
expect "containers as undisturbed" "$(cmp calm.sums rough.sums && echo same)" same
expect "done twice" "$(twice rough-*.log)" 0
"$ALIDADE" campaign clean rough -q 2>/dev/null
expect "leftovers" "$(find rough.out rough -name '.*.ald*' -o -name '*.tmp' -o -path '*/claims/*' | wc -l)" 0

# 3 A task that fails: the others are done, nothing is verified or removed.
mkdir in3
cp in/flow.000[1-3].h5 in3
echo "not a snapshot" >in3/broken.h5
WORKERS=1 REMOVE_ORIGINALS=yes BOUND="--rel 1e-4" "$root/jobscripts/campaign.sh" fail.campaign fail.out in3/*.h5 >fail.log 2>&1
work=$(sed -n 's/^compressing: job \([0-9]*\).*/\1/p' fail.log) check=$(sed -n 's/.*verifying: job \([0-9]*\).*/\1/p' fail.log)
until_gone "$work"
expect "a failing snapshot fails the worker" "$(field "$work" ExitCode)" 2:0
expect "the others are done" "$(records fail.campaign)" 3
sleep 1
expect "no verification" "$(field "$check" Reason)" DependencyNeverSatisfied
scancel "$check"
expect "originals stay" "$(find in3 -name '*.h5' | wc -l)" 4

# 4 Single jobs, and a launch that is wrong.
one=$(INPUT=$place/in/flow.0001.h5 OUTPUT=$place/one.ald BOUND="--rel 1e-4" sbatch --parsable --ntasks=2 "$root/jobscripts/compress.sbatch")
wrong=$(LAUNCH="srun --mpi=none" INPUT=$place/in/flow.0001.h5 OUTPUT=$place/wrong.ald sbatch --parsable --ntasks=2 "$root/jobscripts/compress.sbatch")
until_done "$one"
part=$(LAUNCH=mpirun INPUT=$place/one.ald OUTPUT=$place/one.h5 sbatch --parsable --ntasks=3 "$root/jobscripts/decompress.sbatch")
scale=$(MODE=weak N=16 REPEATS=1 TIME=0.1 OUT=$place/scale sbatch --parsable --ntasks=2 "$root/jobscripts/scaling.sbatch")
until_done "$wrong"
until_done "$part"
until_done "$scale"
expect "compress.sbatch" "$(field "$one" ExitCode)" 0:0
expect "decompress.sbatch, by mpirun" "$(field "$part" ExitCode)" 0:0
expect "same container as in the campaign" "$(cmp one.ald calm.out/flow.0001.ald && echo same)" same
expect "the wrong launch is exit 6" "$(field "$wrong" ExitCode)" 6:0
expect "and leaves nothing" "$(find . -maxdepth 1 -name 'wrong.ald*' | wc -l)" 0
expect "scaling.sbatch, rows" "$(wc -l <scale/scaling.csv)" 3

# 5 Training, undisturbed and warned in the middle: requeues itself, goes on from the checkpoint, ends with the same model.
if [ -x "$bin/alidade-train" ]; then
  "$SOLVER" --n 32 --re 400 --time 6 --every 1 --perturb 0.1 --single-file --quiet --output tg.h5 >/dev/null
  export OPTIONS="--steps 2:5 --validate 5:6 --patch 1 --width 8 --batch 2 --learning-rate 0.01 --epochs 12 --patience 12" INPUT=$place/tg.h5 FIELD=velocity PSNR=45
  calm=$(MODEL=$place/calm.aldm sbatch --parsable --ntasks=2 --output=train-calm.log "$root/jobscripts/train.sbatch")
  until_done "$calm"
  expect "train.sbatch" "$(field "$calm" ExitCode)" 0:0
  job=$(MODEL=$place/rough.aldm sbatch --parsable --ntasks=2 --output=train-rough.log "$root/jobscripts/train.sbatch")
  for _ in $(seq 600); do [ -f rough.aldm.checkpoint ] && break; sleep 0.1; done
  scancel --signal=USR1 --batch "$job"
  for _ in $(seq 100); do [ "$(field "$job" Restarts)" = 1 ] && break; sleep 0.2; done
  expect "training requeued after USR1" "$(field "$job" Restarts)" 1
  restart "$job"
  until_done "$job"
  expect "training goes on" "$(grep -c 'goes on after epoch' train-rough.log)" 1
  expect "the same model" "$(cmp calm.aldm rough.aldm && echo same)" same
else
  say "skipped: train.sbatch; no alidade-train was built (libtorch, TORCH_ROOT)"
fi
if [ "$bad" -gt 0 ]; then
  for f in *.log *.out; do [ -f "$f" ] && { echo "--- $f"; tail -n 25 "$f"; }; done
fi
say "$bad failed"
exit "$bad"
