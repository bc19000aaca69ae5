"""Documents: charters, notices, cards and glossaries that several members edit at once (governance.md §5)."""
