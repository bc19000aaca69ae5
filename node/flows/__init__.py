"""Flows of data and of the content of consents, between the members of one mesh (family 3)."""
