"""Records of consent of other systems: read as evidence, written where their format has a place for ours.

How it works
    Each module reads or writes one system's record. What is read is a `record.Foreign`: what that system says, with
    its own word for the state and ours. `formats` is the closed list.

What it does not do
    No foreign record is a consent here: it bears nobody's signature that this mesh knows. It is evidence, which a grant
    may name and which the holder of the data must find good before anything flows (consent.md §1, §6).
"""
