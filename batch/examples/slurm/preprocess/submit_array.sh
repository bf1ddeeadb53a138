#!/bin/bash
# Submits the tasks, and the job that merges when they have ended.
set -e
cd /shared/study/events.h5.batch
convert=$(sbatch --parsable convert.sh)
echo "convert ${convert%%;*}"
merge=$(sbatch --parsable --dependency=afterany:"${convert%%;*}" merge.sh)
echo "merge ${merge%%;*}"
