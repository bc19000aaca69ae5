"""Consent: the record (record, grant, words), its sealed half (disclosure), the gate, and the person's wallet."""
