"""Operations on the node itself: make it, run it, see how it is.

How it works
    `init` and `run` happen in the command's own process; `status` asks the running node.

What it does not do
    It makes no mesh: `mesh create` and `join` do.
"""

from __future__ import annotations

import os
from typing import Annotated

import msgspec

from node.config import LISTEN, Config, Home
from node.operation import Args, Local, Nothing, Result, local_operation, said
from node.ops.key import describe_key

UNSEALED_MEANS = (
    "The keys are NOT sealed: whoever can read the files in {keys} can act as this node and read its personal data. "
    "Seal them with `maille key rotate-passphrase`."
)


class InitArgs(Args, frozen=True):
    """What the new node is."""

    name: Annotated[str, said("What other members see beside your key.")]
    listen: Annotated[tuple[str, ...], said(f"Where to accept peers, host:port. Default: {LISTEN}.")] = ()
    advertise: Annotated[tuple[str, ...], said("Where others reach you, if that differs, host:port.")] = ()
    unsealed: Annotated[bool, said("Leave the keys without a passphrase: whoever reads the files has them.")] = False


class Initialised(Result, frozen=True):
    """The node that was made."""

    data_dir: Annotated[str, said("Its directory.")]
    did: Annotated[str, said("The did:key of its root key: who it is.")]
    fingerprint: Annotated[str, said("The root key's fingerprint, to compare by voice.")]
    sealed: Annotated[bool, said("Whether the keys are sealed with a passphrase.")]


class Stopped(Result, frozen=True):
    """How a run ended."""

    reason: Annotated[str, said("Why the node stopped.")]


@local_operation("node", "init", permission="admin", keys=True)
def node_init(local: Local, args: InitArgs) -> Initialised:
    """Make a node: its directory, its settings, its keys.

    The keys are sealed with a passphrase, which is asked for, read from --passphrase-file, or taken from the systemd
    credential `maille-passphrase`. There is no way back to the keys without it.
    """
    from node.keystore import Keystore

    home = Home(local.data_dir)
    listen = args.listen or (LISTEN,)
    config = msgspec.convert({"name": args.name, "listen": listen, "advertise": args.advertise}, Config)
    home.require_free()
    passphrase = None if args.unsealed else local.passphrase(new=True)
    home.create(config)
    with home.lock():
        Keystore.create(home.keys, passphrase, os.urandom)
    if args.unsealed:
        local.say(UNSEALED_MEANS.format(keys=home.keys))
    root = describe_key(home, "root")
    return Initialised(str(home.path), root.did, root.fingerprint, not args.unsealed)


@local_operation("node", "run", permission="admin", keys=True, render=lambda _: "")
def node_run(local: Local, args: Nothing) -> Stopped:  # noqa: ARG001 - an operation without arguments
    """Run the node in the foreground, until it is told to stop (Ctrl-C, SIGTERM)."""
    from node.daemon import run

    return Stopped(run(Home(local.data_dir), local.passphrase))
