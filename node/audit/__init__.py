"""Audits: every transfer held against a consent, and the duties that are open (rows in, findings out)."""
