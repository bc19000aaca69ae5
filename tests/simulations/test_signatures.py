"""Remembering what was verified: the same verdicts, and nothing left behind."""

from __future__ import annotations

import pytest

from ledger import entry, keys
from ledger.entry import Entry
from ledger.errors import RemoteError
from ledger.keys import SigningKey
from simulations.signatures import remembered
from tests.node.sites import sites


def test_verdicts_are_the_same_and_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []
    real = vars(keys)["crypto_sign_open"]

    def counted(signed: bytes, public: bytes) -> bytes:
        asked.append(signed)
        return bytes(real(signed, public))

    monkeypatch.setitem(vars(keys), "crypto_sign_open", counted)
    key, other = SigningKey.from_seed(bytes(32)), SigningKey.from_seed(bytes([1]) * 32)
    signature = key.sign(b"said")
    cases = [(key, b"said", signature), (key, b"sald", signature), (other, b"said", signature)]
    plain = [keys.verify(k.public, said, sig) for k, said, sig in cases]
    asked.clear()
    with remembered():
        for _ in range(3):
            assert [keys.verify(k.public, said, sig) for k, said, sig in cases] == plain == [True, False, False]
    assert len(asked) == 3


def test_a_forged_entry_stays_forged_beside_the_sound_one() -> None:
    raw = sites(1)[0].core.replica.genesis.entry.raw
    forged = raw[:-1] + bytes([raw[-1] ^ 1])
    with remembered():
        assert Entry.decode(raw) is not None
        for _ in range(2):
            with pytest.raises(RemoteError, match="signature"):
                Entry.decode(forged)
            assert Entry.parse(raw) is Entry.parse(raw)


def test_the_block_leaves_everything_as_it_was() -> None:
    before = vars(keys)["crypto_sign_open"], vars(entry)["_open"]
    with remembered(use=False):
        assert (vars(keys)["crypto_sign_open"], vars(entry)["_open"]) == before
    with pytest.raises(ZeroDivisionError), remembered():
        raise ZeroDivisionError
    assert (vars(keys)["crypto_sign_open"], vars(entry)["_open"]) == before
