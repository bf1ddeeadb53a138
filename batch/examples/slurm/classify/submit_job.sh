#!/bin/bash
set -e
cd /shared/study/runs/classify.batch
job=$(sbatch --parsable job.sh)
echo "classify ${job%%;*}"
