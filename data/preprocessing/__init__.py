"""Many input files to one event store: plan, shards, merging."""
