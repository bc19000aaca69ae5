"""The node: ledger, gossip and storage put together under trio, with its command line and its control API."""
