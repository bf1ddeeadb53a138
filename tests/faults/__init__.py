"""Damaged, wrong and hostile inputs: one implementation for the tests and for `docs/faults.md`."""
