# shellcheck shell=bash
# A Slurm of one node for tests, sourced: munged, slurmctld and slurmd in a folder of their own, on ports of their own, without systemd.
#   cluster_start FOLDER     returns 77 where Slurm, munge or root are missing
#   cluster_stop FOLDER      ends exactly the daemons that start began

cluster_start() {
  local d=$1 host tool port
  for tool in slurmctld slurmd munged sbatch srun scontrol; do
    command -v "$tool" >/dev/null || { echo "skipped: no $tool (Debian: slurm-wlm, munge)"; return 77; }
  done
  if [ "$(id -u)" != 0 ] || ! id munge >/dev/null 2>&1; then echo "skipped: needs root and the user munge"; return 77; fi
  host=$(hostname -s)
  mkdir -p "$d"/{state,spool,log}
  chmod 755 "$d"
  install -d -o munge -g munge -m 755 "$d/munge"
  head -c 128 /dev/urandom >"$d/munge/key"
  chown munge "$d/munge/key"
  chmod 400 "$d/munge/key"
  su -s /bin/sh munge -c "munged --key-file '$d/munge/key' --socket '$d/munge/socket' --pid-file '$d/munge/pid' --log-file '$d/munge/log' --seed-file '$d/munge/seed'" ||
    { echo "skipped: munged does not start"; return 77; }
  port=$((20000 + $$ % 20000))
  cat >"$d/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$d/munge/socket
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmctldPidFile=$d/slurmctld.pid
SlurmdPidFile=$d/slurmd.pid
SlurmctldLogFile=$d/log/slurmctld
SlurmdLogFile=$d/log/slurmd
StateSaveLocation=$d/state
SlurmdSpoolDir=$d/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=pmix
ReturnToService=2
JobRequeue=1
KillWait=5
SchedulerParameters=batch_sched_delay=0,sched_interval=2
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=8 State=UNKNOWN
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
  export SLURM_CONF=$d/slurm.conf
  if ! slurmctld </dev/null || ! slurmd </dev/null; then echo "skipped: the daemons do not start"; return 77; fi
  for _ in $(seq 120); do
    if [ "$(sinfo -h -o %T 2>/dev/null)" = idle ]; then return 0; fi
    sleep 0.25
  done
  echo "skipped: the node does not become idle"
  tail -n 3 "$d"/log/*
  return 77
}

cluster_stop() {
  local d=$1 name id
  [ -e "$d/slurm.conf" ] || return 0
  SLURM_CONF=$d/slurm.conf scancel --user=root 2>/dev/null
  for _ in $(seq 40); do
    if [ -z "$(SLURM_CONF=$d/slurm.conf squeue -h 2>/dev/null)" ]; then break; fi
    sleep 0.25
  done
  for name in slurmd.pid slurmctld.pid munge/pid; do
    id=$(cat "$d/$name" 2>/dev/null) || continue
    kill "$id" 2>/dev/null
    for _ in $(seq 40); do kill -0 "$id" 2>/dev/null || break; sleep 0.1; done
  done
}
