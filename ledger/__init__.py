"""maille: ledger."""
