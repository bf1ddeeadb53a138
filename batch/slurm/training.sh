#!/bin/bash
# Trains the networks of a training set (docs/training.md), requeued until they are trained:
#
#   TRAINING_SET=training_set.h5 OUTPUT=models sbatch batch/slurm/training.sh
#
# from the folder of the program. LAUNCH is what starts it (default: python -m e2e.training; on
# several GPUs: torchrun --nproc-per-node 4 -m e2e.training), OPTIONS are further words for it.
#SBATCH --job-name=training
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=8G
#SBATCH --time=04:00:00
##SBATCH --gres=gpu:1
# Five minutes before the time limit this script, and not the program, is sent USR1.
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=training_%j.log

set -u
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}
restarts=${RESTARTS:-20}
near_end=0

# The program writes its checkpoint after the batch it is at, and ends with status 75.
stop_program() { kill -TERM "$program" 2>/dev/null; }
trap 'near_end=1; stop_program' USR1
trap stop_program TERM # of preemption, where Slurm itself requeues, and of scancel

# LAUNCH and OPTIONS are lists of words.
${LAUNCH:-python -m e2e.training} "$TRAINING_SET" --output "$OUTPUT" ${OPTIONS:-} &
program=$!
# A signal ends `wait`, not the program.
while ! wait "$program" && kill -0 "$program" 2>/dev/null; do :; done
wait "$program"
status=$?
# Status 75 alone would not do: torchrun has its own.
if ((near_end && status != 0 && ${SLURM_RESTART_COUNT:-0} < restarts)); then
    echo "the time limit is near: back into the queue"
    scontrol requeue "$SLURM_JOB_ID"
fi
exit $status
