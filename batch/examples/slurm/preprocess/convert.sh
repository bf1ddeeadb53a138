#!/bin/bash
# One task makes one of 8 parts of the shards. A task that is run again makes those that
# are missing.
#SBATCH --job-name=events.h5-convert
#SBATCH --array=0-2,7%20
#SBATCH '--output=/shared/study/events.h5.batch/logs/convert_%a.log'
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=4096M
#SBATCH --time=480
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --account=cms

set -eo pipefail
cd /shared/study
export OMP_NUM_THREADS=1

# Some minutes before the time limit this script is sent a signal, and puts the job back into the
# queue; what the program has done by then is kept.
give_back() {
    if [ "${SLURM_RESTART_COUNT:-0}" -lt 5 ]; then
        echo "the time limit is near: back into the queue"
        scontrol requeue "$SLURM_JOB_ID"
    fi
}
trap give_back USR1

/shared/venv/bin/python /shared/cms-e2e-rl/run_pipeline.py preprocess --config /shared/study/events.h5.batch/preprocess.yaml --part "$SLURM_ARRAY_TASK_ID/8" &
program=$!
# The signal ends `wait`, not the program.
while ! wait "$program" && kill -0 "$program" 2>/dev/null; do :; done
wait "$program"  # its own status
