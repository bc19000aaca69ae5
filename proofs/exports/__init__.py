"""What others read: receipts, proofs and records in the formats of other systems, from what was verified.

How it works
    `receipts` and `tlog` put one entry's place in a log into RFC 9942 and C2SP form; whoever knows the keys verifies
    them with tools of those formats. `records` (ISO/IEC TS 27560, Kantara), `odrl` and `prov` (JSON-LD) say what the
    claims of a verified bundle say (`report.Report.claims`), in the words of those vocabularies.

What it does not do
    A record, an agreement or a provenance graph is a copy in words: it proves nothing by itself and names the bundle
    that does. Nothing is said that the bundle does not disclose.
"""
