#!/bin/bash
# What every job starts; its arguments are added to the program's.
set -eo pipefail
cd /shared/study
export OMP_NUM_THREADS=1

exec /shared/venv/bin/python /shared/cms-e2e-rl/run_pipeline.py preprocess --config /shared/study/events.h5.batch/preprocess.yaml "$@"
