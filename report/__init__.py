"""Whole studies and their report: the last room, which imports all the others."""
