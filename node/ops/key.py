"""Operations on the keys of this node. They need no running node; those that change a key need it stopped.

How it works
    Each opens the key directory itself (node/keystore.py). What changes keys takes the lock of the data directory
    first, since a running node holds the keys as they were when it started.

What it does not do
    No operation shows a secret in clear.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Annotated

from ledger.errors import LocalError
from ledger.keys import did_key
from node.config import Home
from node.exits import not_found
from node.operation import Args, Local, Nothing, Result, local_operation, said


class Key(Result, frozen=True):
    """One key of this node."""

    name: Annotated[str, said("root, static, vault, device-MESH, or tenant-NAME.")]
    purpose: Annotated[str, said("root, device, static, vault or tenant.")]
    sealed: Annotated[bool, said("Whether it opens with the passphrase alone.")]
    public: Annotated[str, said("The public key in hexadecimal; of the vault key, a hash.")]
    did: Annotated[str, said("The did:key of an Ed25519 key.")] = ""
    fingerprint: Annotated[str, said("Eight groups of four digits, to compare by voice.")] = ""


class Keys(Result, frozen=True):
    """The keys of this node."""

    directory: Annotated[str, said("Where they are.")]
    root_here: Annotated[bool, said("Whether the root key is here, or was moved away.")]
    keys: Annotated[list[Key], said("Each key.")]


class KeyArgs(Args, frozen=True):
    """Which key."""

    name: Annotated[str, said("Its name, as `key list` shows it.", positional=True)] = "root"


class Exported(Result, frozen=True):
    """A key file, as it is on disk."""

    name: Annotated[str, said("Its name.")]
    sealed: Annotated[bool, said("Whether it opens with the passphrase alone.")]
    file: Annotated[bytes, said("The key file; base64 in JSON, empty when --to took it.", content=True)]


class CopyArgs(Args, frozen=True):
    """Which copy."""

    file: Annotated[bytes, said("The key file, as `key export` wrote it.", content=True, positional=True)]


class CopyChecked(Result, frozen=True):
    """A copy of a key that opens."""

    purpose: Annotated[str, said("root, device, static, vault, tenant or authority.")]
    sealed: Annotated[bool, said("Whether it took the passphrase to open it.")]
    name: Annotated[str, said("Which key of this node it is a copy of; empty when of none.")]
    did: Annotated[str, said("The did:key of an Ed25519 key.")]
    fingerprint: Annotated[str, said("The fingerprint of its public part.")]


class AuthorityArgs(Args, frozen=True):
    """How the key is kept."""

    unsealed: Annotated[bool, said("Leave it plain: whoever reads the file has it.")] = False


class AuthorityKey(Result, frozen=True):
    """The key of an authority."""

    did: Annotated[str, said("Its did:key, by which rules list it.")]
    fingerprint: Annotated[str, said("Its fingerprint, to compare by voice.")]
    sealed: Annotated[bool, said("Whether it opens with the passphrase alone.")]
    file: Annotated[bytes, said("The key file; base64 in JSON, empty when --to took it.", content=True)]


class Fingerprint(Result, frozen=True):
    """How two people compare a key by voice."""

    name: Annotated[str, said("The key's name.")]
    fingerprint: Annotated[str, said("Eight groups of four hexadecimal digits.")]


class DetachArgs(Args, frozen=True):
    """Where the root key goes."""

    to: Annotated[str, said("A directory elsewhere, such as a USB stick's.")]


class Moved(Result, frozen=True):
    """Where the root key is now."""

    path: Annotated[str, said("Its file. Joining a mesh and certifying a device ask for it with --root-key.")]


class RotateArgs(Args, frozen=True):
    """The new passphrase."""

    new: Annotated[str | None, said("The new passphrase.", secret=True)] = None
    unsealed: Annotated[bool, said("Leave the keys plain: whoever reads the files has them.")] = False


class Rotated(Result, frozen=True):
    """What was sealed anew."""

    keys: Annotated[list[str], said("The keys, by name. A root key that was moved away keeps its old passphrase.")]
    sealed: Annotated[bool, said("Whether a passphrase is needed now.")]


class Rekeyed(Result, frozen=True):
    """What has a new key."""

    vaults: Annotated[int, said("How many vaults were given the new key.")]


def fingerprint(public: bytes) -> str:
    """Return eight groups of four hexadecimal digits of SHA-256 over a public key."""
    digits = hashlib.sha256(b"maille-fingerprint" + public).hexdigest()[:32]
    return " ".join(digits[i : i + 4] for i in range(0, 32, 4))


def describe_key(home: Home, name: str) -> Key:
    """Return what a key file shows without its passphrase. Raises as `Keystore.file`."""
    from node.keystore import Keystore

    file = Keystore(home.keys, os.urandom).file(name)
    did = did_key(file.public) if file.purpose in ("root", "device", "tenant") else ""
    return Key(name, file.purpose, file.sealed, file.public.hex(), did, fingerprint(file.public))


@local_operation("key", "list", permission="read")
def key_list(local: Local, args: Nothing) -> Keys:  # noqa: ARG001 - an operation without arguments
    """List the keys of this node."""
    from node.keystore import ROOT, Keystore

    home = Home(local.data_dir)
    store = Keystore(home.keys, os.urandom)
    keys = [describe_key(home, name) for name in store.names()]
    return Keys(str(home.keys), store.has(ROOT), keys)


@local_operation("key", "show", permission="read")
def key_show(local: Local, args: KeyArgs) -> Key:
    """Show one key: its public part, its did:key, its fingerprint."""
    return describe_key(Home(local.data_dir), args.name)


@local_operation("key", "fingerprint", permission="read", render=lambda found: found.fingerprint)
def key_fingerprint(local: Local, args: KeyArgs) -> Fingerprint:
    """Print a key's fingerprint, which two people can compare by voice."""
    return Fingerprint(args.name, describe_key(Home(local.data_dir), args.name).fingerprint)


@local_operation("key", "export", permission="admin")
def key_export(local: Local, args: KeyArgs) -> Exported:
    """Copy a key file, to keep it elsewhere. It stays sealed as it is; a plain one is not exported."""
    from node.keyfile import KeyFile
    from node.keystore import Keystore

    raw = Keystore(Home(local.data_dir).keys, os.urandom).raw(args.name)
    if not KeyFile.decode(raw).sealed:
        told = f"The key {args.name!r} is not sealed; seal the keys first with `maille key rotate-passphrase`."
        raise LocalError("KEY_UNSEALED", told)
    return Exported(args.name, True, raw)


@local_operation("key", "check", permission="read", keys=True)
def key_check(local: Local, args: CopyArgs) -> CopyChecked:
    """Try whether a copy of a key opens, and say which key of this node it is: a copy that was never tried is none."""
    from node.keyfile import KeyFile
    from node.keystore import Keystore

    key = KeyFile.decode(args.file)
    key.unlock(local.passphrase() if key.sealed else None)
    store = Keystore(Home(local.data_dir).keys, os.urandom)
    own = [name for name in store.names() if store.file(name).public == key.public]
    did = did_key(key.public) if key.purpose not in ("static", "vault") else ""
    return CopyChecked(key.purpose, key.sealed, own[0] if own else "", did, fingerprint(key.public))


@local_operation("key", "detach-root", permission="admin")
def key_detach_root(local: Local, args: DetachArgs) -> Moved:
    """Move the root key elsewhere. The node works on without it, and whoever takes the machine cannot become you.

    Joining a mesh, making one, and certifying a new device then ask for it with --root-key FILE.
    """
    from node.keystore import Keystore

    home = Home(local.data_dir)
    destination = Path(args.to)
    if not destination.is_dir():
        raise not_found(f"There is no directory {destination}.", "to")
    with home.lock():
        return Moved(str(Keystore(home.keys, os.urandom).detach_root(destination).absolute()))


@local_operation("key", "rotate-passphrase", permission="admin", keys=True)
def key_rotate_passphrase(local: Local, args: RotateArgs) -> Rotated:
    """Seal the keys with another passphrase (or for the first time). The node must be stopped."""
    from node.cli.terminal import ask_secret
    from node.keystore import Keystore

    home = Home(local.data_dir)
    with home.lock():
        store = Keystore(home.keys, os.urandom)
        store.unlock(local.passphrase() if store.sealed else None)
        new = args.new
        if new is None and not args.unsealed:
            new = ask_secret("The new passphrase", "--new-file FILE, or --unsealed", twice=True)
        store.rotate(None if args.unsealed else new)
    return Rotated(store.names(), not args.unsealed)


@local_operation(
    "key",
    "rekey-vault",
    permission="admin",
    keys=True,
    confirm="Give the vaults a new key? Their older backups open no more.",
)
def key_rekey_vault(local: Local, args: Nothing) -> Rekeyed:  # noqa: ARG001 - an operation without arguments
    """Give the vaults a new key and destroy the old one: what was erased can be read from no old copy. Stop the node.

    Run it after `maille erasure run` where the disk or its backups may have kept what was erased.
    """
    from node.keystore import Keystore
    from node.rekeying import rekey

    home = Home(local.data_dir)
    with home.lock():
        store = Keystore(home.keys, os.urandom)
        store.unlock(local.passphrase() if store.sealed else None)
        return Rekeyed(rekey(home, store, local.say))


@local_operation("key", "authority", permission="admin", keys=True)
def key_authority(local: Local, args: AuthorityArgs) -> AuthorityKey:
    """Make the key of an authority, whose credentials let members in under the frame strong. It is not kept here."""
    from node.keyfile import MODERATE, SALT_BYTES, SECRET_BYTES, KeyFile, Wrapping

    passphrase = None if args.unsealed else local.passphrase(new=True)
    wrapping = None if passphrase is None else Wrapping.derive(passphrase, MODERATE, os.urandom(SALT_BYTES))
    file = KeyFile.make("authority", os.urandom(SECRET_BYTES), wrapping, os.urandom)
    return AuthorityKey(did_key(file.public), fingerprint(file.public), file.sealed, file.encode())
