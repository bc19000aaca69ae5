"""Checkpoints and policies by their operations: what other C2SP tools are handed verifies without our code."""

from __future__ import annotations

import struct
from base64 import b64decode
from hashlib import sha256
from pathlib import Path

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ledger.errors import LocalError, MailleError
from node.operations import find
from tests.node.nodes import do, make_home, running, until


def verified_lines(note: str, policy: str) -> set[str]:
    """Return the key names under which a note verifies, with the keys of a tlog-policy; by the C2SP texts alone."""
    keys = {}
    for line in policy.splitlines():
        word, *rest = line.split(" ")
        if word in ("log", "witness"):
            name, key_id, key = rest[-1].split("+", 2)
            raw = b64decode(key)
            assert raw[0] == 4
            assert sha256(name.encode() + b"\n" + raw).hexdigest()[:8] == key_id
            keys[name] = (bytes.fromhex(key_id), raw[1:])
    body, _, signatures = note.partition("\n\n")
    found = set()
    for line in signatures.splitlines():
        dash, name, blob = line.split(" ")
        assert dash == "\u2014"
        key_id, time, signature = struct.unpack(">4sQ64s", b64decode(blob, validate=True))
        if keys.get(name, (b"",))[0] == key_id:
            message = b"cosignature/v1\ntime %d\n%b\n" % (time, body.encode())
            Ed25519PublicKey.from_public_bytes(keys[name][1]).verify(signature, message)
            found.add(name)
    return found


async def test_a_cosigned_note_verifies_under_the_policy_of_the_mesh(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await do(ada, "mesh create", name="street")
        ticket = await do(ada, "invite create", to=str(bob.root_key().did))
        assert (await do(bob, "join", ticket=ticket.ticket)).answer == "ADMITTED"
        await until(lambda: bool(ada.mesh().engine.connected) and bool(bob.mesh().engine.connected))
        own = ada.mesh().core.device.kid.hex()
        with pytest.raises(MailleError, match="is called"):
            await do(ada, "checkpoint show", feed="0000")
        fresh = await do(ada, "checkpoint show", feed="ada", newest=True)
        assert (fresh.feed, fresh.cosigned) == (own, ())
        await until(lambda: len(ada.mesh().core.replica.members.devices) == 2)
        await do(ada, "tick run")

        shown = await do(ada, "checkpoint show", feed="ada")
        with trio.fail_after(10):
            while not shown.cosigned:
                await trio.sleep(0.01)
                shown = await do(ada, "checkpoint show", feed=own[:12])
        assert [row.member for row in shown.cosigned] == ["bob"]
        policy = await do(ada, "trust policy", quorum=2)
        assert (await do(bob, "trust policy", quorum=2)).sha256 == policy.sha256
        assert (policy.members, policy.quorum) == (2, 2)
        names = verified_lines(shown.note, policy.policy)
        assert names == {f"maille/{policy.genesis}/{feed}" for feed in (own, shown.cosigned[0].device)}
        assert "\nlog " in "\n" + (await do(ada, "trust policy", quorum=1, logs=True)).policy

        listed = (await do(ada, "checkpoint list")).checkpoints
        assert [(row.member, row.witnesses, row.of) for row in listed if row.feed == own] == [("ada", 1, 1)]
        with pytest.raises(LocalError, match="a quorum is 1 to 2"):
            await do(ada, "trust policy", quorum=3)

        row = find("checkpoint", "show")
        assert row is not None
        assert row.render is not None
        alone = await do(ada, "checkpoint show", feed="ada", note=True)
        assert row.render(alone) + "\n" == alone.note
        assert "bob" in row.render(shown)
        assert "\u2014" not in row.render(shown)
