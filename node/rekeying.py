"""A new key for the vaults: what was erased stays erased, wherever an old copy of the disk lies.

How it works
    The new key is made, durable, beside the old one (`vault-next`). Each mesh's vault wraps its rows' keys with it, in
    one transaction, and its file is rewritten without free pages. Then the new key takes the old one's place, which
    destroys the old one. A crash at any moment leaves keys with which every vault opens; `rekey` and the start of the
    node go on from there.

What it does not do
    It cannot reach a copy of the old key file: whoever kept one, with the passphrase, opens old backups as before. From
    then on, the vault in an older backup of ours opens no more.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ledger.errors import LocalError
from node.config import Home
from node.keystore import VAULT, VAULT_NEXT, Keystore
from storage.disk import DiskStore
from storage.vault import VAULT_TABLES, Vault

WRONG_KEY: Final = "VAULT_KEY"


def rekey(home: Home, keys: Keystore, say: Callable[[str], None] = lambda _: None) -> int:
    """Give every vault of a node that is stopped a new key; return how many. The keys are unlocked, the lock is held.

    Raises LocalError as the stores do, KEY_LOCKED, VAULT_KEY (a vault that opens with neither key).
    """
    if not keys.has(VAULT_NEXT):
        keys.new_vault_key()
    return finish(home, keys, say)


def finish(home: Home, keys: Keystore, say: Callable[[str], None] = lambda _: None) -> int:
    """Go on with a change of keys that was begun, if one was; return how many vaults have the new key now."""
    if not keys.has(VAULT_NEXT):
        return 0
    old, new = keys.secret(VAULT), keys.secret(VAULT_NEXT)
    names = home.mesh_names()
    for name in names:
        _rekey(home.mesh(name) / "vault", old, new)
        say(f"the vault of {name} has its new key")
    keys.rename(VAULT_NEXT, VAULT)
    return len(names)


def _rekey(path: Path, old: bytes, new: bytes) -> None:
    store = DiskStore(path, VAULT_TABLES, create=False)
    try:
        try:
            vault = Vault(store, old, os.urandom)
        except LocalError as error:
            if error.code != WRONG_KEY:
                raise
            Vault(store, new, os.urandom)  # it was done before the crash
            return
        vault.rekey(new)
        vault.compact()
    finally:
        store.close()
