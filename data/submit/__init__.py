"""Batch jobs of Slurm and HTCondor: arrays that preprocess, and single jobs that run any stage."""
