#!/bin/bash
# What every job starts; its arguments are added to the program's.
set -eo pipefail
cd /shared/study
export OMP_NUM_THREADS=8
module load cuda

exec /shared/venv/bin/python /shared/cms-e2e-rl/run_pipeline.py classify --config /shared/study/runs/classify.batch/classify.yaml "$@"
