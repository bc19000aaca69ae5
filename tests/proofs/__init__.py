"""Tests of proofs: bundles, policies, the verifier and what it must refuse."""
