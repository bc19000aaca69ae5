"""Tests of the rows of the vault."""
