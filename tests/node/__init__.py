"""Tests of the node: its readings, its adapters, its engine and its commands."""
