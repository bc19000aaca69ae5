"""What is to be consented to, as the arguments of `consent grant` and `consent request`.

How it works
    A file of terms gives the fields (node/flows/offers.py), options win over it, defaults fill the rest. A request
    that is answered gives everything; only the duration may then be shortened.

What it does not do
    It judges nothing: what is missing or wrong is refused, by name, where the terms are made.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from msgspec import Meta

from ledger.consent.grant import RecipientClass
from ledger.errors import LocalError
from ledger.schema import DAY
from node.exits import usage
from node.naming import find_party, member_name, unix_of
from node.operation import Args, said
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from ledger.consent.grant import Recipient
    from ledger.governance.members import Party
    from node.core import Turn
    from node.flows.consenting import Formalities, Offer
    from node.tenants import Tenants

DAYS: Final = 365
"""How long a consent lasts unless it says otherwise."""
MEMBER = "its name, did:key, or the beginning of its id"
CLASS = "class:"
CLASSES = "class:members, class:linked, class:holders, class:college:NAME"
AS_TENANT = "Speak for this tenant, which this node hosts and whose key it keeps: its name here."
OF_TENANT = "Those of this tenant alone, whose key this node keeps: its name here."
Kind = Literal["", "load_curve", "daily", "index", "max_power", "contract", "technical"]


class Terms(Args, frozen=True):
    """What is to be consented to. Left out, a field is that of --terms, else of --request, else its default."""

    holder: Annotated[str, said(f"Who holds the data: {MEMBER}. Default: this node.")] = ""
    recipient: Annotated[str, said(f"Who receives them: {MEMBER}; or a class: {CLASSES}.")] = ""
    point: Annotated[
        tuple[str, ...], said("A point of measurement: prm: or pce: and 14 digits, or water: and a name.")
    ] = ()
    kind: Annotated[Kind, said("The kind of data.")] = ""
    energy: Annotated[Literal["electricity", "gas", "water", "heat"], said("The energy.")] = "electricity"
    direction: Annotated[Literal["consumption", "production"], said("The direction.")] = "consumption"
    granularity: Annotated[str, said("The finest step: PT30M, P1D, … Default: PT30M for curves, else P1D.")] = ""
    purpose: Annotated[str, said("What for, in words that the person understands.")] = ""
    computation: Annotated[str, said("Only the result of this computation may go: its hash, by `compute list`.")] = ""
    contact: Annotated[str, said("Where the person uses her rights: an address or a telephone number.")] = ""
    data_from: Annotated[datetime | None, said("Data from this day on. Default: three years back.")] = None
    data_until: Annotated[datetime | None, said("Data until this day. Default: the end of the consent.")] = None
    days: Annotated[Annotated[int, Meta(ge=1, le=3_653)] | None, said("How long it lasts. Default: 365.")] = None
    terms: Annotated[bytes | None, said("A file of terms, TOML or JSON; the options win over it.", content=True)] = None
    mesh: Annotated[str, said(WHICH)] = ""


class FormalTerms(Terms, frozen=True):
    """What is to be consented to, and what it needs beside the person's own signature."""

    require: Annotated[tuple[str, ...], said("A did:key that must sign too: `maille consent sign`.")] = ()
    quorum: Annotated[int | None, said("How many of those suffice. Default: all of them.")] = None
    paper: Annotated[
        bytes | None,
        said("The scan of a signed paper that this transcribes; it counts once it was checked.", content=True),
    ] = None
    paper_type: Annotated[str, said("The scan's media type.")] = "application/pdf"
    evidence: Annotated[
        str,
        said("In place of a paper: what `consent import` keeps of another system's record; its id or the beginning."),
    ] = ""


def formalities_of(turn: Turn, args: FormalTerms) -> Formalities:
    """Return what the arguments say. Raises LocalError USAGE, and RemoteError for a key that is none."""
    from hashlib import sha256

    from ledger.consent.disclosure import SALT_BYTES, Evidence
    from ledger.keys import public_from_did_key
    from node.flows.consenting import Formalities
    from node.ops.consent_records import imported_evidence

    required = tuple(dict.fromkeys(public_from_did_key(text) for text in args.require))
    if args.quorum is not None and not 1 <= args.quorum <= len(required):
        raise usage("A quorum is at least one, and at most as many as must sign (--require).", "quorum")
    paper = None
    if args.evidence:
        if args.paper is not None:
            raise usage("A consent transcribes one thing: --paper or --evidence.", "evidence")
        paper = imported_evidence(turn, args.evidence)
    if args.paper is not None:
        digest = sha256(args.paper).digest()
        paper = Evidence("paper", digest, args.paper_type, turn.now, turn.core.random_bytes(SALT_BYTES))
    return Formalities(required, args.quorum, paper)


def offer_of(turn: Turn, args: Terms, base: Offer | None, tenants: Tenants, own: Party | None = None) -> Offer:
    """Return what the arguments say: a file's fields, options over them, on the ground of a request.

    `own`: for whom is asked, where that is not this node itself.
    """
    from ledger.consent.record import Actor
    from node.flows.consenting import Offer
    from node.flows.offers import read_file, terms_of

    members, own = turn.core.replica.members, own or turn.core.party
    values = read_file(args.terms) if args.terms is not None else {}
    holder: Party = base.holder if base is not None else own
    if args.holder:
        holder = find_party(members, args.holder, "holder", tenants)
    recipient: Recipient = base.recipient if base is not None else own
    if args.recipient.startswith(CLASS):
        recipient = RecipientClass(args.recipient.removeprefix(CLASS))
    elif args.recipient:
        recipient = find_party(members, args.recipient, "recipient", tenants)
    if base is None and holder == recipient:
        raise usage("Say who receives the data with --recipient (or who holds them with --holder).", "recipient")
    until = base.valid_until if base is not None else turn.now + DAYS * DAY
    if args.days is not None:
        until = turn.now + args.days * DAY
    if base is not None:
        if values or args.purpose or args.point or args.kind:
            raise usage("A request is answered as it stands; narrow it by --days alone, or grant without --request.")
        return Offer(holder, recipient, base.terms, until, base.notice)
    values |= _options(args, until, turn.now)
    if isinstance(recipient, RecipientClass):
        actor = Actor(recipient.name, "category")
    else:
        name = tenants.name_of(recipient[0]) or member_name(members, recipient)
        actor = Actor(name, "recipient", "", recipient)
    try:
        return Offer(holder, recipient, terms_of(values, actor, now=turn.now, valid_until=until), until)
    except LocalError as error:
        if args.terms is not None or error.field is None:
            raise
        named = (_ARGUMENT.get(name, name) for name in error.field.split(", "))
        raise LocalError(error.code, error.message, field=", ".join(named)) from None


_ARGUMENT: Final = {"points": "point", "pii_type": "kind", "data_period": "data_from"}
"""A field of a file of terms -> the argument that says the same, for who wrote no file; the others have one name."""


def _options(args: Terms, until: int, now: int) -> dict[str, Any]:
    from node.flows.offers import PAST_DAYS

    found: dict[str, Any] = {}
    if args.point:
        found["points"] = list(args.point)
    if args.kind:
        found["pii_type"] = f"{args.energy}/{args.direction}/{args.kind}"
    for name in ("granularity", "purpose", "contact", "computation"):
        if getattr(args, name):
            found[name] = getattr(args, name)
    if args.data_from is not None or args.data_until is not None:
        start = unix_of(args.data_from) if args.data_from is not None else now - PAST_DAYS * DAY
        found["data_period"] = [[start, unix_of(args.data_until) if args.data_until is not None else until]]
    return found


def names_of(turn: Turn, offer: Offer) -> tuple[str, str]:
    """Return the names of holder and recipient, as people read them; a tenant's is what the terms call it."""
    members = turn.core.replica.members
    called = {actor.party: actor.name for actor in (*offer.terms.controllers, *offer.terms.recipients)}

    def name(party: Recipient) -> str:
        if isinstance(party, RecipientClass):
            return f"any of the class {party.name!r}"
        ledger = member_name(members, party)
        own = called.get(party, ledger)
        return ledger if party[1] or own == ledger else f"{own} ({ledger})"

    return name(offer.holder), name(offer.recipient)
