"""Tests of the ledger: one module for each module of `ledger`."""
