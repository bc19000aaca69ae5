"""Membership and decisions: genesis, epochs, and the fold of governance entries."""
