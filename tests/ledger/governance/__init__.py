"""Tests of membership and decisions."""
