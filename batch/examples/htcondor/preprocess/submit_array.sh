#!/bin/bash
set -e
cd /shared/study/events.h5.batch
# -f: files of an earlier submission are written over; its shards count.
condor_submit_dag -f -maxjobs 20 array.dag
