#!/bin/bash
set -e
cd /shared/study/runs/classify.batch
condor_submit job.sub
