"""Proofs, sans-IO: files that an outsider verifies with nothing but what she holds herself."""
