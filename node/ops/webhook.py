"""Operations on web-hooks: addresses that are told when a consent begins or ends, and when data arrive.

How it works
    A hook is an http(s) address of a program of the operator's. It is posted a small signed JSON object for each
    change, at least once, in order, and again when it fails, for about three days; `list` shows what waits and what
    was given up. The signature is that of Standard Webhooks: by a secret that is shown once, or by the device key.

What it does not do
    It tells nothing personal. A program that would rather ask than be told uses `changes list`.
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final, Literal

from ledger.errors import LocalError
from node.exits import not_found, usage
from node.naming import moment
from node.operation import Args, Result, operation, said
from node.ops.consent_terms import OF_TENANT
from node.ops.mesh import WHICH

if TYPE_CHECKING:
    from node.core import Turn
    from node.daemon import Node
    from node.flows.family import Flows
    from node.vaults.changes import Hook

SECRET_BYTES: Final = 32
HOOK: Final = "The hook's id, as `webhook list` shows it."
Event = Literal["consent.began", "consent.changed", "consent.ended", "data.arrived"]


class AddHookArgs(Args, frozen=True):
    """Whom to tell, and of what."""

    url: Annotated[str, said("The address: http(s)://host/path.", positional=True)]
    event: Annotated[tuple[Event, ...], said("Those kinds of changes alone. Default: all.")] = ()
    sign: Annotated[Literal["hmac", "ed25519"], said("With a secret of its own, or with the device key.")] = "hmac"
    as_tenant: Annotated[str, said(OF_TENANT)] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class HookArgs(Args, frozen=True):
    """Which hook."""

    id: Annotated[str, said(HOOK, positional=True)]
    as_tenant: Annotated[str, said(OF_TENANT)] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class HooksArgs(Args, frozen=True):
    """Which hooks."""

    as_tenant: Annotated[str, said(OF_TENANT)] = ""
    mesh: Annotated[str, said(WHICH)] = ""


class HookRow(Result, frozen=True):
    """A web-hook."""

    id: Annotated[str, said("Its id.")]
    url: Annotated[str, said("Its address.")]
    events: Annotated[tuple[str, ...], said("The kinds of changes that it is told of; none: all.")]
    sign: Annotated[str, said("hmac or ed25519.")]
    state: Annotated[str, said("ok, failing, or gone: it answered 410 and is told nothing any more.")]
    waiting: Annotated[int, said("Changes that it has not confirmed yet.")]
    error: Annotated[str, said("What was wrong at the last attempt.")]
    next_at: Annotated[datetime | None, said("When it is tried again.")]
    given_up: Annotated[tuple[str, ...], said("Numbers of the changes that were given up, and why.")]


class HookRows(Result, frozen=True):
    """The web-hooks."""

    hooks: Annotated[tuple[HookRow, ...], said("Each hook.")]


class HookAdded(Result, frozen=True):
    """A new web-hook."""

    id: Annotated[str, said("Its id.")]
    secret: Annotated[str, said("With which its receiver verifies (whsec_…), this once; or the public key (whpk_…).")]


class HookTested(Result, frozen=True):
    """What came of a trial."""

    status: Annotated[int, said("What it answered; 0: nothing.")]
    error: Annotated[str, said("What was wrong; empty when it has what was sent.")]


@operation("webhook", "add", permission="operate")
async def webhook_add(node: Node, args: AddHookArgs) -> HookAdded:
    """Have an address told when a consent begins or ends, and when data arrive, from now on."""
    from node.hooks import check_url, look_up
    from node.vaults.changes import HOOK_BYTES, HOOKS_MAX, Hook

    check_url(args.url)
    await look_up(args.url, private=node.config.webhooks.private)
    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    key = node.random_bytes(SECRET_BYTES) if args.sign == "hmac" else b""

    def act(turn: Turn) -> Hook:
        rows = flows.changing.rows
        if len(rows.hooks(turn.vault)) >= HOOKS_MAX:
            raise LocalError("TOO_MANY_HOOKS", f"There are {HOOKS_MAX} hooks; remove one first.")
        party = _party(turn, flows, args.as_tenant)
        hook = Hook(turn.core.random_bytes(HOOK_BYTES), args.url, key, tuple(args.event), party, turn.now)
        rows.put_hook(turn.vault, hook)
        return hook

    hook = await mesh.engine.act(act)
    shown = f"whsec_{_text(key)}" if key else f"whpk_{_text(mesh.core.device.public)}"
    return HookAdded(hook.id.hex(), shown)


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()


def _party(turn: Turn, flows: Flows, tenant: str) -> bytes:
    return flows.tenants.voice(turn, tenant).party[0] if tenant else b""


@operation("webhook", "list", permission="read")
async def webhook_list(node: Node, args: HooksArgs) -> HookRows:
    """List the web-hooks: how each is, what waits, what was given up."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def look(turn: Turn) -> HookRows:
        party = _party(turn, flows, args.as_tenant)
        rows = [_row(turn, flows, hook) for hook in flows.changing.rows.hooks(turn.vault) if party in (b"", hook.party)]
        return HookRows(tuple(rows))

    return await mesh.engine.read(look)


def _row(turn: Turn, flows: Flows, hook: Hook) -> HookRow:
    rows = flows.changing.rows
    waiting = rows.count(turn.vault, hook.id)
    return HookRow(
        hook.id.hex(),
        hook.url,
        hook.kinds,
        "hmac" if hook.key else "ed25519",
        "gone" if hook.gone else "failing" if hook.failures else "ok",
        waiting,
        hook.last_error,
        moment(hook.next_at) if hook.failures and waiting and not hook.gone else None,
        tuple(f"{number}: {why}" for number, why in rows.dead(turn.vault, hook.id)),
    )


@operation("webhook", "remove", permission="operate")
async def webhook_remove(node: Node, args: HookArgs) -> HookRow:
    """Remove a web-hook with all that waits for it."""
    mesh = node.mesh(args.mesh)
    flows = mesh.flows

    def act(turn: Turn) -> HookRow:
        hook = _find(turn, flows, args)
        row = _row(turn, flows, hook)
        flows.changing.rows.remove_hook(turn.vault, hook.id)
        return row

    return await mesh.engine.act(act)


@operation("webhook", "test", permission="operate", exit_of=lambda tested: 1 if tested.error else 0)
async def webhook_test(node: Node, args: HookArgs) -> HookTested:
    """Post a change of kind `test` to a web-hook, once, and show what it answers."""
    from node.hooks import Deliverer, body_of
    from node.vaults.changes import Change

    mesh = node.mesh(args.mesh)
    flows = mesh.flows
    hook = await mesh.engine.read(lambda turn: _find(turn, flows, args))
    deliverer = Deliverer(mesh, node.clock, node.random_source, private=lambda: node.config.webhooks.private)
    change = Change(0, node.random_bytes(16), "test", node.now, b"", "", "", b"", ())
    return HookTested(*await deliverer.post(hook, f"msg_{change.id.hex()}", body_of(change)))


def _find(turn: Turn, flows: Flows, args: HookArgs) -> Hook:
    if len(args.id) < 4:
        raise usage("Give at least 4 digits of the hook's id.", "id")
    party = _party(turn, flows, args.as_tenant)
    found = [one for one in flows.changing.rows.hooks(turn.vault) if one.id.hex().startswith(args.id.lower())]
    found = [one for one in found if party in (b"", one.party)]
    if len(found) != 1:
        raise not_found(f"No hook with id {args.id} is here; `maille webhook list` shows them.", "id")
    return found[0]
