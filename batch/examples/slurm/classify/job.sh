#!/bin/bash
# Runs the stage `classify`. Started again (preemption, node failure, time limit) it goes on
# from its last checkpoint.
#SBATCH --job-name=classify
#SBATCH '--output=/shared/study/runs/classify.batch/logs/classify.log'
#SBATCH --gres=gpu:1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32768M
#SBATCH --time=720
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --partition=gpu
#SBATCH --account=cms
#SBATCH --constraint=a100

set -eo pipefail
cd /shared/study
export OMP_NUM_THREADS=8
module load cuda

# Some minutes before the time limit this script is sent a signal, and puts the job back into the
# queue; what the program has done by then is kept.
give_back() {
    if [ "${SLURM_RESTART_COUNT:-0}" -lt 5 ]; then
        echo "the time limit is near: back into the queue"
        scontrol requeue "$SLURM_JOB_ID"
    fi
}
trap give_back USR1

/shared/venv/bin/python /shared/cms-e2e-rl/run_pipeline.py classify --config /shared/study/runs/classify.batch/classify.yaml &
program=$!
# The signal ends `wait`, not the program.
while ! wait "$program" && kill -0 "$program" 2>/dev/null; do :; done
wait "$program"  # its own status
