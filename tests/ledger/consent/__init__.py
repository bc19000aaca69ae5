"""Tests of the consent record, its disclosures, the gate and the wallet."""
