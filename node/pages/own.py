"""What is a person's own: her consents, her points, her refusals, and who keeps her keys.

How it works
    `look` reads it in one snapshot. Her consents come from her wallet here, or from the list that is left of one that
    she took away. A point that the register knows is hers while she lives there, by the register alone; of others,
    those that the operator checked. A refusal is known by its key, which her seed tells, or a note where it is away.
    What she handed on stays in her list, and is hers no more; so does what she handed back to whoever gave it.

What it does not do
    It signs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from ledger.consent.status import Status
from ledger.consent.wallet import OwnConsent, Wallet
from ledger.keys import thumbprint
from node.flows.custody import rekeys_of
from node.vaults.people import PeopleRows, Person

if TYPE_CHECKING:
    from node.core import Turn
    from node.flows.family import Flows

Custody = Literal["host", "both", "own"]
"""Who has the keys: the host; the host, and the person as words; the person alone."""


@dataclass(frozen=True, slots=True)
class Own:
    """See the module. `refusal_kid(request)`: the id of the key by which she refuses, or refused it; None: unknown.

    `handed_on(status)`: whether a consent of hers was handed on to somebody else's keys.
    """

    consents: tuple[OwnConsent, ...]
    points: tuple[str, ...]
    refusal_kid: Callable[[bytes], bytes | None]
    handed_on: Callable[[Status], bool]

    @property
    def grants(self) -> set[bytes]:
        """The ids of her consents."""
        return {consent.grant_id for consent in self.consents}


def look(turn: Turn, flows: Flows, people: PeopleRows, person: Person) -> Own:
    """Return what is a person's own. Raises LocalError NOT_FOUND where her wallet is gone."""
    gone = flows.wallets.away(turn.vault, person.wallet)
    points = points_of(turn, flows, person)
    if gone is not None:
        refused = partial(people.refusal_kid, turn.vault, person)
        return Own(gone.consents, points, refused, partial(_left, turn, flows, person.wallet))
    wallet = flows.wallets.get(turn.vault, person.wallet).wallet
    return Own(wallet.consents, points, lambda request: wallet.refusal_key(request).kid, partial(_others, turn, wallet))


def _others(turn: Turn, wallet: Wallet, status: Status) -> bool:
    """Say whether a consent was handed on from this wallet: other keys are in force, or again those that gave it."""
    rekeys = rekeys_of(turn, status.grant)
    if not rekeys:
        return False
    keys = (wallet.consent_key(status.record_id).kid, wallet.delegate_key().kid)
    if status.key is not None:
        return status.key not in keys
    return status.principal not in keys and any(thumbprint(one.payload["key"]) in keys for one in rekeys)


def _left(turn: Turn, flows: Flows, wallet: str, status: Status) -> bool:
    """Say the same of a wallet whose keys are not here: by what was noted when the consent was handed on here."""
    row = flows.consents.get(turn.vault, status.grant) if rekeys_of(turn, status.grant) else None
    return row is not None and row.wallet != wallet


def points_of(turn: Turn, flows: Flows, person: Person) -> tuple[str, ...]:
    """Return a person's points: where the register says that she lives, and unregistered ones that were checked."""
    register = flows.points.rows
    lives = register.of_person(turn.vault, person.wallet, turn.now)
    checked = [point for point in person.points if register.lives(turn.vault, point, person.wallet, turn.now) is None]
    return tuple(dict.fromkeys([*checked, *lives]))


def custody_of(turn: Turn, flows: Flows, person: Person) -> Custody:
    """Return who has the keys of a person's wallet."""
    if flows.wallets.away(turn.vault, person.wallet) is not None:
        return "own"
    return "both" if person.own_keys else "host"
