"""Quark against gluon jets, from images of single jets (after arXiv:1902.08276)."""
