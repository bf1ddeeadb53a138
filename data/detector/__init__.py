"""Cells of the detector: DetIds, geometry tables, images. Pure functions on arrays."""
