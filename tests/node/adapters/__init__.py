"""Tests of the adapters, on real files where there are some, and on hostile ones."""
