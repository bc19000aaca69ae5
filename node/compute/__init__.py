"""Computations at the holder, of which only the result leaves."""
