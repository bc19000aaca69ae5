"""The keys of a node on disk: a directory (0700) of sealed files (0600), opened with one passphrase.

| file | key | used for |
|---|---|---|
| `root.key` | Ed25519 | who we are: applies for membership, certifies devices. Can be kept elsewhere |
| `device-MESH.key` | Ed25519 | signs our feed in one mesh, and our channels |
| `static.key` | X25519 | the encrypted channels |
| `vault.key` | 32 bytes | seals the personal data at rest |
| `tenant-NAME.key` | Ed25519 | signs for a tenant: a service without a node, hosted by a member |

How it works
    Each file is sealed by itself (node/keyfile.py). New files take the salt of those there, so that one run of argon2id
    opens them all. Files are written beside their place, synced, and renamed. A new passphrase goes into a whole new
    directory that then takes the place of the old one: a crash leaves the one or the other, never a mixture.
    Files that others can read are refused, with the command that mends it.

What it does not do
    It asks for no passphrase, and cannot wipe memory: Python keeps copies of secrets beyond our reach.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Final

from gossip.handshake import Identity
from ledger.errors import LocalError
from ledger.keys import SigningKey
from node.exits import not_found
from node.keyfile import (
    FILE_BYTES_MAX,
    MODERATE,
    SALT_BYTES,
    SECRET_BYTES,
    Cost,
    KeyFile,
    Purpose,
    RandomBytes,
    Wrapping,
)

ROOT: Final = "root"
STATIC: Final = "static"
VAULT: Final = "vault"
VAULT_NEXT: Final = "vault-next"
"""The vaults' coming key, while they change keys (node/rekeying.py)."""
PASSPHRASE_CHARACTERS_MIN: Final = 8
SUFFIX: Final = ".key"
_TENANT: Final = "tenant-"


def device_name(mesh: str) -> str:
    """Return the name of our device key in a mesh."""
    return f"device-{mesh}"


def tenant_name(name: str) -> str:
    """Return the name of a tenant's key."""
    return f"{_TENANT}{name}"


class Keystore:
    """The key files of a directory, and what opened them. Reading public parts needs no passphrase."""

    def __init__(self, directory: Path, random_bytes: RandomBytes, cost: Cost = MODERATE) -> None:
        """`cost`: of new seals. Raises LocalError KEY_MISSING (no keys here), KEY_MODE."""
        self.directory = directory
        self._random, self._cost = random_bytes, cost
        self._wrappings: dict[tuple[Cost, bytes], Wrapping] = {}
        self._default: Wrapping | None = None
        _finish_rotation(directory)
        if not directory.is_dir():
            told = f"There are no keys in {directory}: put the node's key files there. If it never had any, delete "
            raise LocalError("KEY_MISSING", f"{told}{directory.parent / 'config.toml'} and run `maille node init`.")
        _check_mode(directory, 0o700)

    @classmethod
    def create(
        cls, directory: Path, passphrase: str | None, random_bytes: RandomBytes, cost: Cost = MODERATE
    ) -> Keystore:
        """Make the directory with new root, static and vault keys; `passphrase` None leaves them plain.

        Raises LocalError KEY_EXISTS, PASSPHRASE_SHORT.
        """
        if directory.exists():
            raise LocalError("KEY_EXISTS", f"There are keys in {directory} already; they are not overwritten.")
        check_passphrase(passphrase)
        directory.mkdir(mode=0o700)
        store = cls(directory, random_bytes, cost)
        if passphrase is not None:
            store._default = Wrapping.derive(passphrase, cost, random_bytes(SALT_BYTES))
        for name, purpose in ((ROOT, "root"), (STATIC, "static"), (VAULT, "vault")):
            store._put(name, purpose, random_bytes(SECRET_BYTES))  # type: ignore[arg-type]
        return store

    # What is there

    def names(self) -> list[str]:
        """Return the names of the keys here."""
        return sorted(path.name.removesuffix(SUFFIX) for path in self.directory.glob(f"*{SUFFIX}"))

    def has(self, name: str) -> bool:
        """Say whether a key is here."""
        return self._path(name).exists()

    def file(self, name: str) -> KeyFile:
        """Read a key file. Raises LocalError KEY_MISSING, KEY_MODE, KEY_WRONG; RemoteError KEY_DAMAGED, KEY_VERSION."""
        file = KeyFile.decode(self.raw(name))
        if file.purpose != name.partition("-")[0]:
            told = f"The file {self._path(name)} holds a {file.purpose} key; put the right one in its place."
            raise LocalError("KEY_WRONG", told, field=name)
        return file

    def raw(self, name: str) -> bytes:
        """Return a key file as it is, sealed or plain. Raises LocalError KEY_MISSING, KEY_MODE."""
        path = self._path(name)
        try:
            _check_mode(path, 0o600)
            with path.open("rb") as file:
                return file.read(FILE_BYTES_MAX + 1)
        except FileNotFoundError:
            raise _missing(name, path) from None
        except OSError as error:
            raise LocalError("KEY_MISSING", f"{path} cannot be read: {error.strerror}.") from None

    @property
    def sealed(self) -> bool:
        """Whether the keys here need a passphrase."""
        return any(self.file(name).sealed for name in self.names())

    # Opening

    def unlock(self, passphrase: str | None) -> None:
        """Derive what opens the files here, and open each once. Raises LocalError KEY_LOCKED."""
        for name in self.names():
            file = self.file(name)
            if file.wrapped is not None and passphrase is not None:
                cost, salt, _ = file.wrapped
                if (cost, salt) not in self._wrappings:
                    self._wrappings[cost, salt] = Wrapping.derive(passphrase, cost, salt)
                self._default = self._wrappings[cost, salt]
            self.secret(name)

    def secret(self, name: str) -> bytes:
        """Return a key's 32-byte secret. Raises LocalError KEY_LOCKED, KEY_MISSING; RemoteError KEY_DAMAGED."""
        file = self.file(name)
        wrapping = self._wrappings.get(file.wrapped[:2], self._default) if file.wrapped is not None else None
        return file.open(wrapping)

    def signing(self, name: str) -> SigningKey:
        """Return a signing key (root, or a device). Raises as `secret`."""
        return SigningKey.from_seed(self.secret(name))

    def identity(self, mesh: str) -> Identity:
        """Return who we are in the channels of a mesh."""
        return Identity(self.signing(device_name(mesh)), self.secret(STATIC))

    # Changing

    def new_device(self, mesh: str) -> SigningKey:
        """Make and keep a device key for a mesh. Raises LocalError KEY_EXISTS, KEY_LOCKED."""
        return SigningKey.from_seed(self._put(device_name(mesh), "device", self._random(SECRET_BYTES)))

    def new_tenant(self, name: str, seed: bytes | None = None) -> SigningKey:
        """Make and keep a tenant's key; `seed`: of one that was made elsewhere. Raises LocalError as `new_device`."""
        secret = self._random(SECRET_BYTES) if seed is None else seed
        return SigningKey.from_seed(self._put(tenant_name(name), "tenant", secret))

    def new_vault_key(self) -> None:
        """Make the vaults' coming key. Raises LocalError KEY_EXISTS, KEY_LOCKED."""
        self._put(VAULT_NEXT, "vault", self._random(SECRET_BYTES))

    def complete(self) -> None:
        """Make a static key where a restore brought none; it is announced with the next card. Raises as `new_device`.

        Raises LocalError KEY_MISSING without the vault's key: nothing else opens what the vault holds.
        """
        if not self.has(VAULT):
            told = f"The vault's key is not in {self.directory}, and a backup has it only where it was sealed. Put the"
            told += (
                " file back there, or come back without the backup: `maille join` with --root-key and --incarnation."
            )
            raise LocalError("KEY_MISSING", told, field=VAULT)
        if not self.has(STATIC):
            self._put(STATIC, "static", self._random(SECRET_BYTES))

    def tenants(self) -> dict[str, SigningKey]:
        """Return the tenants' keys by the tenants' names. Raises as `secret`."""
        return {name.removeprefix(_TENANT): self.signing(name) for name in self.names() if name.startswith(_TENANT)}

    def put_back(self, name: str, raw: bytes) -> None:
        """Put a key file in its place, from a backup. Raises LocalError KEY_EXISTS; RemoteError KEY_DAMAGED."""
        if self.has(name):
            raise LocalError("KEY_EXISTS", f"There is a key {name!r} already; it is not overwritten.", field=name)
        self._write(name, KeyFile.decode(raw))

    def rename(self, name: str, other: str) -> None:
        """Give a key another name. A key of that name, left by something that did not end, is replaced."""
        self._path(name).replace(self._path(other))
        _sync(self.directory)

    def remove(self, name: str) -> None:
        """Delete a key; the disk may keep what it held."""
        self._path(name).unlink(missing_ok=True)
        _sync(self.directory)

    def detach_root(self, destination: Path) -> Path:
        """Move the sealed root key to another directory and return its new path.

        Raises LocalError KEY_UNSEALED (a plain key is not carried about), FILE_WRITE, KEY_MISSING.
        """
        raw = self.raw(ROOT)
        file = KeyFile.decode(raw)
        if not file.sealed:
            told = "The root key is not sealed; seal the keys first with `maille key rotate-passphrase`."
            raise LocalError("KEY_UNSEALED", told)
        target = destination / f"maille-root-{file.public.hex()[:12]}{SUFFIX}"
        try:
            _write_file(target, raw)
            held = target.read_bytes()
        except OSError as error:
            raise LocalError("FILE_WRITE", f"{target} cannot be written: {error.strerror}.") from None
        if held != raw:
            raise LocalError("FILE_WRITE", f"{target} does not hold what was written to it; the root key stays here.")
        self.remove(ROOT)
        return target

    def rotate(self, passphrase: str | None) -> None:
        """Seal every key anew (None: leave them plain). `unlock` went before. Raises LocalError PASSPHRASE_SHORT."""
        check_passphrase(passphrase)
        secrets = {name: (self.file(name).purpose, self.secret(name)) for name in self.names()}
        wrapping = None
        if passphrase is not None:
            wrapping = Wrapping.derive(passphrase, self._cost, self._random(SALT_BYTES))
        young, old = _beside(self.directory)
        shutil.rmtree(young, ignore_errors=True)
        partial = young.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        for name, (purpose, secret) in secrets.items():
            file = KeyFile.make(purpose, secret, wrapping, self._random)
            _write_file(partial / f"{name}{SUFFIX}", file.encode())
        partial.rename(young)  # from here on the new keys are whole
        self.directory.rename(old)
        _finish_rotation(self.directory)
        self._default, self._wrappings = wrapping, {}

    def _put(self, name: str, purpose: Purpose, secret: bytes) -> bytes:
        if self.has(name):
            raise LocalError("KEY_EXISTS", f"There is a key {name!r} already; it is not overwritten.", field=name)
        self._require_unlocked()
        self._write(name, KeyFile.make(purpose, secret, self._default, self._random))
        return secret

    def _require_unlocked(self) -> None:
        if self._default is None and self.sealed:
            raise LocalError("KEY_LOCKED", "The keys are sealed; a new one is sealed with the same passphrase.")

    def _write(self, name: str, file: KeyFile) -> None:
        try:
            _write_file(self._path(name), file.encode())
        except OSError as error:
            raise LocalError("FILE_WRITE", f"{self._path(name)} cannot be written: {error.strerror}.") from None

    def _path(self, name: str) -> Path:
        return self.directory / f"{name}{SUFFIX}"


def check_passphrase(passphrase: str | None) -> None:
    """Refuse a new passphrase that is too short. Raises LocalError PASSPHRASE_SHORT."""
    if passphrase is not None and len(passphrase) < PASSPHRASE_CHARACTERS_MIN:
        told = f"A passphrase has at least {PASSPHRASE_CHARACTERS_MIN} characters; several words are best."
        raise LocalError("PASSPHRASE_SHORT", told)


def _missing(name: str, path: Path) -> LocalError:
    if name == ROOT:
        told = f"The root key is not in {path.parent}: it was moved away. Give its file with --root-key FILE."
        return LocalError("KEY_MISSING", told, field=name)
    return not_found(f"There is no key {name!r} in {path.parent}.")


def _check_mode(path: Path, wanted: int) -> None:
    facts = path.stat()
    if facts.st_uid not in (os.geteuid(), 0):
        raise LocalError("KEY_MODE", f"{path} belongs to another user; run: chown {os.geteuid()} {path}")
    if stat.S_IMODE(facts.st_mode) & 0o077:
        raise LocalError("KEY_MODE", f"Others can reach {path}; run: chmod {wanted:o} {path}")


def _beside(directory: Path) -> tuple[Path, Path]:
    """Return where the new and the old keys lie while a passphrase changes."""
    return directory.with_name(directory.name + ".new"), directory.with_name(directory.name + ".old")


def _finish_rotation(directory: Path) -> None:
    """Complete what a crash interrupted: new keys that are whole take their place, old ones go."""
    young, old = _beside(directory)
    if not directory.exists() and young.is_dir():
        young.rename(directory)
        _sync(directory.parent)
    if directory.exists() and old.is_dir():
        shutil.rmtree(old)


def _write_file(path: Path, data: bytes) -> None:
    """Write a file of mode 0600 beside its place, sync it, rename it, sync the directory."""
    young = path.with_name(f".{path.name}.partial")
    young.unlink(missing_ok=True)
    descriptor = os.open(young, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    young.replace(path)
    _sync(path.parent)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
