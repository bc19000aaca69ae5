"""Tests of the operator pages (node/console)."""
