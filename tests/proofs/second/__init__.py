"""A second verifier of bundles, written from proofs/README.md and the CDDL it names; OpenSSL signs off, not libsodium.

It shares no line with `proofs` or `ledger` (a test asserts it), so the two agree only where the specification says
the same to both.
"""
