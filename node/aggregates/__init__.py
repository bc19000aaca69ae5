"""Sums over several people: tables, what may be published of them, and what was."""
