"""A Slurm of one node on this machine, and the project's batch jobs run on it for real."""
