"""Benchmarks: each measures one figure beside its limit, in the same run (`python -m tests.benchmarks.NAME`)."""
