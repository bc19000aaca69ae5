"""Kernels: models of gossip compiled by numba, for 10^4 to 10^6 nodes; they hold models, not the production code."""
