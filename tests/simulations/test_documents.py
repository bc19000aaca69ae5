"""Three whole daemons edit one document at the same time, through a partition and a kill, and agree on every letter."""

from __future__ import annotations

from functools import partial

import pytest
import trio

from ledger.documents import render
from ledger.documents.history import document_id
from ledger.documents.shelf import Shelf, adoption_payload
from node.core import Turn
from node.documents import find_document
from simulations.daemons import Daemons, run

pytest.importorskip("automerge.core", reason="automerge has no build for this Python")

START = "Le membre garde les données.\nIl les efface.\nFin.\n"
EDITS = (
    "Chaque membre garde les données.\nIl les efface.\nFin.\n",
    "Le membre garde ses propres données.\nIl les efface.\nFin.\n",
    "Le membre garde les données.\nIl les efface sous trente jours.\n",
)
MERGED = "Chaque membre garde ses propres données.\nIl les efface sous trente jours.\n"


def open_charter(turn: Turn) -> bytes:
    """Open a document with a first text; return its id."""
    device = turn.core.device.kid
    ident = document_id(device, turn.core.replica.size(device))
    turn.state("document.open", ("document", ident), {"type": "charter", "title": "Charte", "language": "fr"})
    find_document(turn, ident.hex()).write(START)
    return ident


def write(wanted: str, turn: Turn) -> None:
    """Make the charter say something, and then state some noise about it."""
    found = find_document(turn, "Charte")
    found.write(wanted)
    found.state("document.change", {"change": b"\x85\x6f\x4a\x83" + bytes(len(wanted))})


async def seen(mesh: Daemons, ident: bytes) -> set[tuple[str, tuple[bytes, ...]]]:
    """Return the text and heads that the daemons see."""

    def look(turn: Turn) -> tuple[str, tuple[bytes, ...]]:
        history = Shelf.of(turn.core.replica, turn.rows).history(ident)
        return render.text(history), history.heads

    return {await daemon.engine.read(look) for daemon in mesh.nodes.values()}


async def story(mesh: Daemons) -> tuple[set[str], list[str], str]:
    """Write apart, meet, adopt, write on; return the merged texts, what the adoption is worth at each, its text."""
    ident = await mesh.nodes[0].engine.act(open_charter)
    assert await mesh.until(mesh.agree, 60)
    mesh.board.partition([[0], [1], [2]])
    await trio.sleep(1)
    for number, wanted in enumerate(EDITS):
        await mesh.nodes[number].engine.act(partial(write, wanted))
    await mesh.kill(1)
    mesh.board.heal()
    await mesh.restart(1)
    assert await mesh.until(mesh.agree, 300)
    merged = await seen(mesh, ident)
    assert len(merged) == 1

    def adopt(turn: Turn) -> tuple[bytes, ...]:
        found = find_document(turn, "Charte")
        heads = found.history.heads
        found.state("document.adopt", adoption_payload(found.history, heads, render.text(found.history, heads)))
        return heads

    heads = await mesh.nodes[2].engine.act(adopt)
    await mesh.nodes[0].engine.act(lambda turn: find_document(turn, "Charte").write("Rien.\n"))
    assert await mesh.until(mesh.agree, 300)
    assert {text for text, _ in await seen(mesh, ident)} == {"Rien.\n"}

    def worth(turn: Turn) -> tuple[str, str]:
        found = find_document(turn, "Charte")
        (adopted,) = found.shelf.adoptions(found.history)
        return adopted.counts, render.text(found.history, heads)

    told = [await daemon.engine.read(worth) for _, daemon in sorted(mesh.nodes.items())]
    assert len({old for _, old in told}) == 1
    return {text for text, _ in merged}, [counts for counts, _ in told], told[0][1]


def test_three_daemons_edit_apart_and_agree() -> None:
    assert run(7, story, count=3) == ({MERGED}, ["", "", ""], MERGED)
