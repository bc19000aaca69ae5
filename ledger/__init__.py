"""The ledger, sans-IO: bytes of entries, feeds and checkpoints, and the state that follows from them."""
