"""What simulated organisations and persons agree on before data flow: the terms of a consent, and a link.

How it works
    Every study of data takes its terms from here, so that all ask the gate the same question: everything of one point
    may go to one recipient, for a year. `home` names the feeds that must have been heard lately; none: the quorum.

What it does not do
    It decides nothing: `offer_link` and `give_consent` are acts of a turn, and each study says when.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger.consent.record import Actor, DataKind, Rights, Stages, Terms
from ledger.entry import Entry
from ledger.governance.members import Party, link_id
from ledger.schema import DAY
from node.core import Turn
from node.flows.consenting import Consenting, Offer


def terms(
    point: str,
    kind: DataKind,
    granularity: str,
    period: tuple[int, int],
    now: int,
    home: Sequence[bytes],
    *,
    who: str = "City",
    purpose: str = "advice on saving energy",
    contact: str = "dpo@city.example",
) -> Terms:
    """Return terms under which everything of a point may go, from a day before `now` on.

    `period`: first second of the data, and the second after the last; `home`: the feeds that must be fresh.
    """
    return Terms(
        purpose=purpose,
        purpose_category="dpv:ServiceProvision",
        legal_basis="consent",
        points=(point,),
        pii_type=kind,
        granularity=granularity,
        data_period=(period,),
        access_period=(now - DAY, None),
        controllers=(Actor(who, "controller", contact),),
        recipients=(Actor(who, "recipient", contact),),
        retention="P1Y",
        storage="in Lyon",
        jurisdiction="FR",
        withdrawal_method="press Withdraw",
        rights=Rights(contact, contact, contact),
        authority="CNIL",
        dpo_contact=contact,
        stages=Stages(local=True, upload=True, transmit=True),
        principal_role="contract_holder",
        freshness=tuple(home),
    )


def give_consent(turn: Turn, acts: Consenting, wallet: str, offer: Offer) -> Entry:
    """Make a wallet at the turn's node and have its person consent to an offer; return the grant."""
    acts.create_wallet(turn, wallet)
    return acts.grant(turn, wallet, offer, acts.notice(turn, offer, ("holder", "recipient")))[0]


def offer_link(own: Party, other: Party, turn: Turn) -> None:
    """State that the turn's node wants a link; it is up once the other side has said the same."""
    turn.state("link.offer", ("link", link_id(own, other)), {"from": list(own), "to": list(other)})
