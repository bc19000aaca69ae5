"""Tests of audits: rows by hand, whole meshes, pages and tables."""
