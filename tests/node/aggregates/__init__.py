"""Tests of tables over several people."""
