"""Random bytes for the readers of untrusted files: harnesses for coverage-guided fuzzing."""
