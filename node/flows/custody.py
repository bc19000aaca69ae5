"""Whose a consent is now: the wallets kept here that may end it, and the entries that show it.

How it works
    A consent is its giver's, or whoever's it was handed to (`consent.rekey`): by her, or by one who had it so. What was
    given under a delegation may also be ended by the person who delegated, and by all between. `hand` looks up what a
    key must carry so that any member can judge its withdrawal from the bytes alone (ledger.consent.standing).

    A key hands a consent on once (C7). Where one did so twice, no key is in force, and every wallet that ever had it
    narrows and ends it.

What it does not do
    It signs nothing, and knows only the entries that the ledger here holds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ledger.consent.acts import Shown
from ledger.consent.slip import PREFIX_BYTES, Slip
from ledger.consent.standing import handed
from ledger.consent.status import Fact, Handing, handing, keys_ever
from ledger.consent.wallet import Wallet
from ledger.entry import Entry
from ledger.errors import LocalError
from ledger.index import facts_of
from ledger.keys import SigningKey
from node.flows.disclosing import parties_of
from node.vaults.consents import ConsentRows, wallet_of
from node.vaults.wallets import HostedWallet, WalletRows

if TYPE_CHECKING:
    from node.core import Turn

LINKS_MAX = 9
"""Delegations from a grant up to the person."""


def shown(turn: Turn) -> Shown:
    """Return what an act is signed with now."""
    head, replica = turn.shown_head(), turn.core.replica
    return Shown(head, replica.closure_iat(turn.rows, [head]), turn.now, replica.mesh_id, turn.core.random_bytes)


def rekeys_of(turn: Turn, grant: bytes) -> list[Entry]:
    """Return the rekeys of a consent that the ledger here holds, whether or not they count."""
    replica = turn.core.replica
    rekeys = (fact for fact in _facts(turn, grant) if fact.row.kind == "consent.rekey")
    found = (replica.entry(turn.rows, fact.row.entry_id) for fact in rekeys)
    return [entry for entry in found if entry is not None]


def handing_of(turn: Turn, grant: Entry) -> Handing:
    """Return how a consent went from key to key, so far as that counts."""
    return handing(grant.kid, _facts(turn, grant.id), turn.core.replica.members.reach)


def had_by(turn: Turn, grant: Entry) -> frozenset[bytes]:
    """Return the ids of the keys that a consent ever had, by whichever way."""
    return keys_ever(grant, _facts(turn, grant.id))


def _facts(turn: Turn, grant: bytes) -> tuple[Fact, ...]:
    replica = turn.core.replica
    return facts_of(turn.rows, grant, replica.by_number, replica.size)


def links_of(turn: Turn, delegation: bytes | None) -> list[Entry]:
    """Return a delegation and those above it, as far as they are held."""
    found: list[Entry] = []
    while delegation is not None and len(found) < LINKS_MAX:
        link = turn.core.replica.entry(turn.rows, delegation)
        if link is None or link.kind != "delegation.give":
            break
        found.append(link)
        delegation = link.payload.get("parent")
    return found


def hand(turn: Turn, grant: Entry, by: Wallet | Slip) -> tuple[Slip, tuple[Entry, ...]] | None:
    """Return the key with which this wallet or slip ends a consent, and what the withdrawal carries; None: it may not.

    What is passed on names the withdraw key of the consent above it, so that key is tried too.
    """
    rekeys = rekeys_of(turn, grant.id)
    seeds = [by.withdraw_seed] if isinstance(by, Slip) else [by.withdraw_seed(ident) for ident in _idents(turn, grant)]
    for seed in seeds:
        way = handed(grant, rekeys, SigningKey.from_seed(seed).public)
        if way is not None:
            return Slip(seed, grant.id[:PREFIX_BYTES]), way
    links = [] if isinstance(by, Slip) else links_of(turn, grant.payload.get("delegation"))
    for count, link in enumerate(links, start=1):
        seed = b"" if isinstance(by, Slip) else by.withdraw_seed(link.thing[1])
        if SigningKey.from_seed(seed).public == link.payload["withdraw_key"]:
            return Slip(seed, grant.id[:PREFIX_BYTES]), tuple(links[:count])
    return None


def _idents(turn: Turn, grant: Entry) -> list[bytes]:
    """Return the record ids of a consent and of those above it, the nearest first."""
    found = [grant.thing[1]]
    while "parent" in grant.payload and len(found) < LINKS_MAX:
        parent = turn.core.replica.grant(turn.rows, grant.payload["parent"])
        if parent is None:
            break
        found.append(parent.thing[1])
        grant = parent
    return found


def in_force(turn: Turn, wallets: WalletRows, grant: Entry) -> tuple[HostedWallet, SigningKey] | None:
    """Return the wallet kept here that has the key in force of a consent, and the key; None where none has.

    Only the wallet can tell that a key is its own, by deriving it: a node that keeps thousands tries them one by one,
    once it has tried the one under whose name it keeps the content. None is in force of a contested consent (C7).
    """
    status = turn.core.replica.consent(turn.rows, grant.id)
    if status is not None and status.contested is not None:
        return None
    return _with_key(turn, wallets, grant, {grant.kid if status is None or status.key is None else status.key})


def narrowing(turn: Turn, wallets: WalletRows, grant: Entry) -> tuple[HostedWallet, SigningKey] | None:
    """Return as `in_force`; of a contested consent, a wallet kept here that ever had it, and its key."""
    status = turn.core.replica.consent(turn.rows, grant.id)
    if status is not None and status.contested is not None:
        return had_here(turn, wallets, grant)
    return in_force(turn, wallets, grant)


def had_here(turn: Turn, wallets: WalletRows, grant: Entry) -> tuple[HostedWallet, SigningKey] | None:
    """Return a wallet kept here that ever had a consent, in force or not, and its key; None where none had."""
    return _with_key(turn, wallets, grant, had_by(turn, grant))


def _with_key(
    turn: Turn, wallets: WalletRows, grant: Entry, kids: Collection[bytes]
) -> tuple[HostedWallet, SigningKey] | None:
    for hosted in _likeliest_first(turn, wallets, grant):
        for key in (hosted.wallet.consent_key(grant.thing[1]), hosted.wallet.delegate_key()):
            if key.kid in kids:
                return hosted, key
    return None


def _likeliest_first(turn: Turn, wallets: WalletRows, grant: Entry) -> Iterator[HostedWallet]:
    listed = wallets.find(turn.vault, wallet_of(turn.vault, grant.id))
    if listed is not None:
        yield listed
    yield from (hosted for hosted in wallets.listing(turn.vault) if listed is None or hosted.name != listed.name)


def whose(turn: Turn, wallets: WalletRows, grant: Entry) -> HostedWallet:
    """Return the wallet kept here that ends a consent: of the key in force, else any that may.

    Raises LocalError NOT_YOUR_CONSENT.
    """
    found = in_force(turn, wallets, grant)
    if found is not None:
        return found[0]
    for hosted in wallets.listing(turn.vault):
        if hand(turn, grant, hosted.wallet) is not None:
            return hosted
    told = "no wallet kept here gave this consent; use its withdrawal slip, or turn to her own host"
    raise LocalError("NOT_YOUR_CONSENT", told, field="consent")


def entrust(turn: Turn, wallets: WalletRows, consents: ConsentRows, hosted: HostedWallet, grant: Entry) -> HostedWallet:
    """List a consent in the wallet that it was handed to, and its content here as hers, now or when it comes."""
    hosted = replace(hosted, wallet=hosted.wallet.with_grant(grant, rekeys_of(turn, grant.id)))
    wallets.put(turn.vault, hosted)
    row = consents.get(turn.vault, grant.id)
    if row is None:
        wallets.expect(turn.vault, grant.id, hosted.name)
    elif row.wallet != hosted.name:
        consents.put(turn.vault, replace(row, wallet=hosted.name), *parties_of(grant))
    return hosted
