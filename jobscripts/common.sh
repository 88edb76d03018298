# shellcheck shell=bash
# What the job scripts share; sourced, never submitted. Settings it knows, all optional:
#   ALIDADE   the program                           THREADS   threads per task (1)
#   LAUNCH    how to start it ("srun --mpi=pmix")   RESTARTS  how often a job may requeue itself (50)
#   SETUP     a command that prepares the environment, e.g. SETUP="module load alidade" or SETUP="spack load alidade"

alidade_home=${ALIDADE_HOME:-${SLURM_SUBMIT_DIR:-$PWD}}
if [ -n "${SETUP:-}" ]; then eval "$SETUP"; fi
threads=${THREADS:-1}
restarts=${RESTARTS:-50}
tasks=${SLURM_NTASKS:-1}

alidade_fail() { echo "error: $2" >&2; exit "$1"; }

# A program of Alidade: what the caller named, the one on PATH, or the one built here.
alidade_program() {
  local name=$1 given=${2:-}
  if [ -n "$given" ]; then echo "$given"; return; fi
  if command -v "$name"; then return; fi
  if [ -x "$alidade_home/.build/release/$name" ]; then echo "$alidade_home/.build/release/$name"; return; fi
  alidade_fail 6 "no $name on PATH, nor $alidade_home/.build/release/$name; set ALIDADE, SETUP or ALIDADE_HOME"
}

# How to start the ranks: srun where Slurm has a PMIx plugin, else mpirun inside the allocation.
alidade_launcher() {
  if [ -n "${LAUNCH:-}" ]; then read -r -a launch <<<"$LAUNCH"; return; fi
  local kinds kind
  kinds=$(srun --mpi=list 2>&1 || true)
  kind=$(grep -oE 'pmix(_v[0-9]+)?' <<<"$kinds" | sort | head -n 1 || true)   # "pmix" is the newest that is there
  if [ -n "$kind" ]; then launch=(srun "--mpi=$kind")
  elif command -v mpirun >/dev/null; then launch=(mpirun)
  else alidade_fail 6 "srun has no pmix ($(tr '\n' ' ' <<<"$kinds")) and there is no mpirun; load the MPI that Alidade was built with"; fi
}

# The settings of a job, so that its output says what was run.
alidade_echo() {
  local name
  echo "job=${SLURM_JOB_ID:-none} task=${SLURM_ARRAY_TASK_ID:-none} restarts=${SLURM_RESTART_COUNT:-0} nodes=${SLURM_JOB_NUM_NODES:-1} tasks=$tasks threads=$threads"
  echo "alidade=$alidade launch='${launch[*]}' home=$alidade_home"
  for name in "$@"; do echo "$name='${!name:-}'"; done
  "$alidade" --version
}

# Ends the job with 6 where the launch is not what the scheduler was asked for. The argument is a folder that all nodes share.
alidade_check() {
  local probe
  probe=$1/.alidade-check-${SLURM_JOB_ID:-$$}
  if [ -n "${SLURM_CPUS_PER_TASK:-}" ] && [ "$threads" -gt "$SLURM_CPUS_PER_TASK" ]; then
    alidade_fail 6 "THREADS=$threads but Slurm gives $SLURM_CPUS_PER_TASK cores per task; submit with --cpus-per-task=$threads"
  fi
  rm -f "$probe"*
  # Claims need names that only one can create.
  (set -C; : >"$probe") 2>/dev/null || alidade_fail 6 "cannot create files in '$1'"
  if (set -C; : >"$probe") 2>/dev/null; then alidade_fail 6 "the file system of '$1' creates a file twice: no campaigns here"; fi
  # HDF5 locks what it opens, which some parallel file systems refuse.
  if command -v flock >/dev/null && ! flock -n "$probe" true; then
    export HDF5_USE_FILE_LOCKING=FALSE
  fi
  echo "HDF5_USE_FILE_LOCKING=${HDF5_USE_FILE_LOCKING:-default} OMPI_MCA_io=${OMPI_MCA_io:-default (Alidade uses POSIX calls, no MPI-IO)}"
  # One value through the whole program: what MPI sees must be what Slurm started.
  printf '\0\0\0\0' >"$probe"
  local code=0 seen
  "${launch[@]}" "$alidade" compress "$probe" --raw --type f32 --shape 1 --lossless --dry-run --threads "$threads" --report "$probe.json" -q || code=$?
  seen=$(sed -n 's/^ *"ranks" : \([0-9]*\).*/\1/p' "$probe.json" 2>/dev/null || true)
  rm -f "$probe"*
  case $code in
    0) ;;
    75) alidade_fail 75 "stopped during the check" ;;
    *) alidade_fail 6 "'${launch[*]} $alidade' does not start properly (exit $code)" ;;
  esac
  [ "$seen" = "$tasks" ] || alidade_fail 6 "Slurm has $tasks tasks, MPI sees ${seen:-none}; see LAUNCH"
}

# Runs a command on all tasks. Slurm's warning (USR1) and its end (TERM) make it stop at its next agreed point with exit 75.
# After USR1 the job goes back into the queue; after TERM that is the scheduler's business: it was cancelled or preempted.
alidade_run() {
  local code=75
  trap 'woken=yes; kill -USR1 "$child" 2>/dev/null' TERM   # mpirun turns TERM into exit 1, USR1 into 75
  if [ "$warned" = no ]; then
    "${launch[@]}" "$@" &
    child=$!
    # A trap ends wait early, with a code of its own.
    woken=yes
    while [ "$woken" = yes ]; do
      woken=no code=0
      wait "$child" || code=$?
    done
    child=
  fi
  trap - TERM
  if [ "$code" = 75 ] && [ "$warned" = yes ] && [ -n "${SLURM_JOB_ID:-}" ]; then
    if [ "${SLURM_RESTART_COUNT:-0}" -lt "$restarts" ]; then
      echo "interrupted; requeued"
      scontrol requeue "$SLURM_JOB_ID"
    else echo "interrupted after $restarts restarts; submit again to continue" >&2; fi
  fi
  return "$code"
}

# The warning may come before anything runs.
warned=no woken=no child=
trap 'warned=yes; woken=yes; kill -USR1 "$child" 2>/dev/null' USR1
alidade=$(alidade_program alidade "${ALIDADE:-}") || exit 6
launch=()
alidade_launcher
