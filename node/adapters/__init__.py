"""Adapters: each reads or writes one named format of the outside world. Bytes in, values out; no IO."""
