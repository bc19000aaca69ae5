"""Operations on the service: the systemd unit that runs the node, shown, installed, held against what is installed.

How it works
    The unit is made from the node as it is (node/unit.py): where its data lie, whether its keys are sealed, which
    ports it listens on. `install` writes it, and prints what is left to do; nothing is started behind your back.

What it does not do
    It seals no passphrase: systemd-creds does, by the command that is printed.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

from ledger.errors import LocalError
from node.config import Home
from node.exits import OK, REFUSED, not_found
from node.operation import Args, Local, Result, local_operation, said
from node.unit import CREDENTIAL_FILE, DIRECTORY, NAME, unit


class UnitArgs(Args, frozen=True):
    """Where units lie."""

    directory: Annotated[str, said("Where systemd looks for units.", path=True)] = str(DIRECTORY)


class Unit(Result, frozen=True):
    """The unit as this node needs it."""

    file: Annotated[str, said("Where it belongs.")]
    text: Annotated[str, said("The unit.")]


class UnitChecked(Result, frozen=True):
    """Whether the installed unit is as this node needs it."""

    file: Annotated[str, said("The installed unit.")]
    same: Annotated[bool, said("Whether nothing differs.")]
    differs: Annotated[tuple[str, ...], said("Lines that differ: with + those needed, with - those installed.")]


class Installed(Result, frozen=True):
    """What was written, and what is left to do."""

    file: Annotated[str, said("The unit.")]
    changed: Annotated[bool, said("Whether it was not there like this before.")]
    next: Annotated[tuple[str, ...], said("The commands that are left, in order.")]


def wanted(local: Local) -> str:
    """Return the unit that this node needs. Raises LocalError as `Home.config` does."""
    from node.keystore import Keystore

    home = Home(local.data_dir)
    config = home.config()
    listening = [*config.listen]
    listening += [part.listen for part in (config.api, config.pages) if part is not None]
    low = any(int(address.rpartition(":")[2]) < 1_024 for address in listening)
    return unit(
        program(), home.path, sealed=Keystore(home.keys, os.urandom).sealed, low_ports=low, lan=config.discovery.lan
    )


def program() -> str:
    """Return the path of the command that runs now."""
    own = Path(sys.argv[0])
    found = str(own.absolute()) if own.name == "maille" and own.is_file() else shutil.which("maille")
    return found or f"{sys.executable} -m node.cli"


@local_operation("service", "show", permission="read", render=lambda found: found.text.rstrip("\n"))
def service_show(local: Local, args: UnitArgs) -> Unit:
    """Print the systemd unit that this node needs, hardened."""
    return Unit(str(Path(args.directory) / NAME), wanted(local))


@local_operation("service", "check", permission="read", exit_of=lambda found: OK if found.same else REFUSED)
def service_check(local: Local, args: UnitArgs) -> UnitChecked:
    """Hold the installed unit against the one this node needs. Exit code 1 if they differ."""
    import difflib

    file = Path(args.directory) / NAME
    try:
        held = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise not_found(f"There is no {file}; run: maille service install", "directory") from None
    found = difflib.unified_diff(held, wanted(local).splitlines(), lineterm="", n=0)
    differs = tuple(line for line in found if not line.startswith(("---", "+++", "@@")))
    return UnitChecked(str(file), not differs, differs)


@local_operation("service", "install", permission="admin")
def service_install(local: Local, args: UnitArgs) -> Installed:
    """Write the systemd unit, and print what is left to do. It starts nothing; doing it again changes nothing."""
    from node.cli.terminal import write_new
    from node.keystore import Keystore

    file, text = Path(args.directory) / NAME, wanted(local)
    changed = not file.is_file() or file.read_text(encoding="utf-8") != text
    if changed:
        write_new(file, text.encode())
        file.chmod(0o644)
    steps = ["systemctl daemon-reload", f"systemctl enable --now {NAME}"]
    if Keystore(Home(local.data_dir).keys, os.urandom).sealed:
        steps.insert(0, f"systemd-ask-password -n | systemd-creds encrypt --name=maille-passphrase - {CREDENTIAL_FILE}")
    return Installed(str(file), changed, tuple(steps))


@local_operation("service", "uninstall", permission="admin", confirm="Remove the unit? The node's data stay.")
def service_uninstall(local: Local, args: UnitArgs) -> Installed:  # noqa: ARG001 - the unit is what it is
    """Remove the systemd unit; the node's data stay as they are."""
    file = Path(args.directory) / NAME
    held = file.exists()
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise LocalError("FILE_WRITE", f"{file} cannot be removed: {error.strerror}.") from None
    return Installed(str(file), held, (f"systemctl disable --now {NAME}", "systemctl daemon-reload"))
