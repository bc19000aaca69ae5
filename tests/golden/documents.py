"""Golden samples about a document: opened, changed by a change written by hand, adopted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from ledger.documents.change import BASE_HASH
from ledger.documents.history import actor_id, document_id, version_id
from ledger.entry import Entry
from tests.ledger.documents.crafting import Insert, craft, hash_of
from tests.worlds import World, octets

TEXT = "Été"


def sign_documents(sign: Callable[..., Entry], world: World) -> None:
    """Sign one sample of each kind about a document."""
    scribe = world.members[0].scribe
    ident = document_id(scribe.feed, scribe.tree.size)
    actor, thing = actor_id(scribe.feed, ident), ("document", ident)
    opening = {"type": "charter", "title": "Charte de l’essai", "language": "fr", "parent": octets("parent version")}
    sign("document.open", thing, {**opening, "licence": "EUPL-1.2"}, scribe.device)
    ops = [Insert((actor, place + 1) if place else None, letter) for place, letter in enumerate(TEXT)]
    change = craft(actor, 1, 2, [BASE_HASH], ops)
    sign("document.change", thing, {"change": change}, scribe.device)
    heads = [hash_of(change)]
    adopted = {
        "heads": heads,
        "version": version_id(ident, heads),
        "text": hashlib.sha256(TEXT.encode()).digest(),
        "parent": opening["parent"],
        "licence": "EUPL-1.2",
    }
    sign("document.adopt", thing, adopted, scribe.device)
