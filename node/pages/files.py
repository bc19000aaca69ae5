"""What a person takes away: the receipt to print, as JSON and as the signed entry, and the withdrawal slip.

How it works
    The printed receipt says the whole consent in words, with the ids by which anybody can check it. The JSON is the
    consent record of ISO/IEC TS 27560 or Kantara that `maille proof export` makes from a verified proof; the CBOR is
    the entry as it was signed and stands on the ledger. The slip comes from the wallet, at any time.

What it does not do
    It makes no format of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from ledger.consent.grant import Notice
from ledger.consent.slip import Slip
from ledger.keys import did_key
from node.exits import not_found
from node.flows.custody import rekeys_of
from node.naming import member_name
from node.pages.dashboard import own_line
from node.pages.reading import HANDED_ON, Card, Unstated, card
from node.pages.slips import qr, slip_link
from node.pages.visit import Visit
from node.pages.waiting import line_of_waiting, named

if TYPE_CHECKING:
    from ledger.entry import Entry
    from node.core import Turn
    from node.flows.family import Flows


def _grant(visit: Visit, turn: Turn, flows: Flows) -> Entry:
    grant = turn.core.replica.grant(turn.rows, own_line(visit, turn, flows).id)
    if grant is None:
        raise not_found("There is no such consent.")
    return grant


async def receipt(visit: Visit) -> Response:
    """Show the receipt, to print."""
    await visit.site.keep_up()

    def look(turn: Turn, flows: Flows) -> dict[str, Any]:
        line, grant = own_line(visit, turn, flows), _grant(visit, turn, flows)
        shown = card(turn, flows, line, Unstated(()), visit.lang)
        notice = Notice.read(grant.payload["notice"])
        members, status = turn.core.replica.members, turn.core.replica.consent(turn.rows, line.id)
        own = turn.core.party
        return {
            "shown": shown,
            "key": did_key(grant.signer),
            "record": grant.thing[1].hex(),
            "mesh": turn.core.replica.mesh_id.hex(),
            "notice": notice,
            "taken_over": status is not None and status.key not in (None, grant.kid) and line.state != HANDED_ON,
            "narrowed": bool(status is not None and status.amended),
            "registrar": member_name(members, own),
        }

    return visit.page("receipt.html", **await visit.site.read(look))


async def receipt_json(visit: Visit) -> Response:
    """Return the receipt as a consent record in JSON (?form=kantara, else ISO/IEC TS 27560)."""
    from node.ops.export import Format, ProofExportArgs, proof_export

    grant = await visit.site.read(lambda turn, flows: _grant(visit, turn, flows))
    form: Format = "kantara" if visit.request.query_params.get("form") == "kantara" else "iso27560"
    wanted = ProofExportArgs(grant.id.hex(), as_=form, mesh=visit.site.mesh.name)
    made = await proof_export.handler(visit.site.node, wanted)
    return attached(visit, made.content, "application/json", f"consent-{grant.id.hex()[:12]}.json")


async def receipt_cbor(visit: Visit) -> Response:
    """Return the grant as it was signed (COSE_Sign1)."""
    grant = await visit.site.read(lambda turn, flows: _grant(visit, turn, flows))
    return attached(visit, grant.raw, "application/cose", f"consent-{grant.id.hex()[:12]}.cbor")


def attached(visit: Visit, body: bytes, media_type: str, name: str) -> Response:
    """Return a file to keep."""
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return visit.finish(Response(body, 200, headers, media_type))


async def slip(visit: Visit) -> Response:
    """Show the withdrawal slip, to print; whoever has her keys alone is asked for her words first."""
    await visit.site.keep_up()
    if visit.custody == "own":
        shown, _ = await visit.site.read(lambda turn, flows: _slip(visit, turn, flows, ""))
        return visit.page("slip_words.html", shown=shown)
    return _print(visit, *await visit.site.read(lambda turn, flows: _slip(visit, turn, flows, visit.who.wallet)))


async def slip_by_words(visit: Visit) -> Response:
    """Show the withdrawal slip of a wallet whose words are in the form."""

    def act(turn: Turn, flows: Flows) -> tuple[Card, Slip | None]:
        with visit.signing(turn, flows) as wallet:
            return _slip(visit, turn, flows, wallet)

    return _print(visit, *await visit.site.act(act))


def _slip(visit: Visit, turn: Turn, flows: Flows, wallet: str) -> tuple[Card, Slip | None]:
    """Return the consent, and its slip if the wallet of that name can make it."""
    row = named(visit, turn, flows)
    if row is None:
        line, grant = own_line(visit, turn, flows), _grant(visit, turn, flows)
    else:
        line, grant = line_of_waiting(row), row.grant
    shown = card(turn, flows, line, Unstated(()), visit.lang)
    return shown, _made(turn, flows, wallet, grant) if wallet else None


def _made(turn: Turn, flows: Flows, wallet: str, grant: Entry) -> Slip:
    return flows.wallets.get(turn.vault, wallet).wallet.slip(grant, rekeys_of(turn, grant.id))


def _print(visit: Visit, shown: Card, slip: Slip | None) -> Response:
    assert slip is not None  # a wallet was named
    link = slip_link(visit.site.settings.url, slip)
    return visit.page("slip.html", shown=shown, slip=slip, code=slip.code(), qr=qr(link))
