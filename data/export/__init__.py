"""An event store to dense images, and to the arrays that others published."""
