"""storage: where a node keeps rows, so that nothing acknowledged is lost and nothing is half-written.

`store.py` is the contract; `disk.py` (LMDB; with `transactions.py`, `pages.py`) and `memory.py` meet it. `vault.py`
seals personal data over such a store; `backup.py` copies running stores and restores them. Nothing here
knows what a row means.
"""
