"""The handlers of the operations, one module a noun; `node/operations.py` reads them."""
