"""Embedded simulation: particle lists, a parametric detector, pile-up and the ROOT writer."""
