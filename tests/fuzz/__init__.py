"""Parsers under random bytes: a table of them, seeds, a quick test in CI, and atheris for the long search."""
