"""What can be seen of a node's health on its own machine, without asking it: files, keys, disk, limits, certificates.

How it works
    Each check looks at one thing and returns what it found amiss: nothing, or a `Finding` that says what, why it
    matters and the exact command that mends it. `mend` carries out those repairs that cannot do harm: modes of files
    that are ours, and a socket that a crash left.

What it does not do
    It opens no key and no store, and asks no peer: node/ops/doctor.py does what needs the running node.
"""

from __future__ import annotations

import os
import shutil
import ssl
import stat
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal

from ledger.errors import MailleError
from node.config import Config, Home
from node.operation import Result, said
from node.room import FIX, QUOTA_FULL, WHY, Room
from node.upkeep import read_upkeep

FREE_BYTES_MIN: Final = 1 << 30
FREE_SHARE_MIN: Final = 0.05
SYNC_SECONDS_MAX: Final = 0.05
"""A disk that takes longer to make a page durable holds up every entry."""
FILES_MIN: Final = 1_024
DAY: Final = 86_400
BACKUP_DAYS: Final = 7
DRILL_DAYS: Final = 90
CERTIFICATE_DAYS: Final = 30
DEVICE_DAYS: Final = 2 * 365
"""A device key is used all day long; after so long a successor is due. Nothing ends by itself."""

Severity = Literal["error", "warning", "note"]


class Finding(Result, frozen=True):
    """Something that is amiss."""

    severity: Annotated[Severity, said("error: the node cannot do its work; warning: it soon may not; or note.")]
    code: Annotated[str, said("Stable, in capital letters.")]
    message: Annotated[str, said("What was found.")]
    why: Annotated[str, said("Why it matters.")]
    fix: Annotated[str, said("The command that mends it, or what to do.")]


def look(home: Home, now: int) -> Iterator[Finding]:
    """Yield every finding on this machine. `now`: unix seconds."""
    config: Config | None = None
    try:
        config = home.config()
    except MailleError as error:
        where = f"{error.field}: " if error.field else ""
        why = "The node refuses to start on settings that it does not understand."
        yield Finding("error", error.code, where + error.message, why, "maille config check")
    yield from _modes(home)
    yield from _keys(home, now)
    yield from _disk(home)
    yield from _limits()
    yield from _backups(home, now)
    if config is not None:
        yield from _quota(home, config)
        yield from _certificates(home, config, now)


def _modes(home: Home) -> Iterator[Finding]:
    for path, most in wrong_modes(home):
        mode = stat.S_IMODE(path.stat().st_mode)
        told = f"{path} has mode {mode:04o}: others on this machine can reach it."
        why = "Whoever reads the keys and the vault can act as this node and read personal data."
        yield Finding("error", "FILE_MODE", told, why, f"chmod {most:o} {path}   (or: maille doctor --fix)")
    for path in (home.path, home.keys):
        if path.exists() and path.stat().st_uid != os.geteuid():
            told = f"{path} belongs to user {path.stat().st_uid}, and this command runs as {os.geteuid()}."
            why = "The node must own its files, or it cannot read or write them."
            yield Finding("warning", "FILE_OWNER", told, why, "Run maille as the user who owns the data directory.")


def wrong_modes(home: Home) -> list[tuple[Path, int]]:
    """Return the files of ours that others can reach, each with the mode it should have."""
    wanted = [(home.path, 0o700), (home.keys, 0o700)]
    if home.keys.is_dir():
        wanted += [(path, 0o600) for path in sorted(home.keys.iterdir()) if path.is_file()]
    return [(path, mode) for path, mode in wanted if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077]


def _keys(home: Home, now: int) -> Iterator[Finding]:
    from node.keystore import ROOT, Keystore

    if not home.keys.is_dir():
        return
    keys = Keystore(home.keys, os.urandom)
    try:
        plain = [name for name in keys.names() if not keys.file(name).sealed]
    except MailleError as error:
        why = "Without this key the node cannot sign or read what it keeps."
        yield Finding("error", error.code, error.message, why, "Restore the key from your copy or from a backup.")
        return
    if plain:
        told = f"Keys without a passphrase: {', '.join(plain)}."
        why = "Whoever reads the files, or a copy of the disk, can act as this node."
        yield Finding("warning", "KEYS_UNSEALED", told, why, "Stop the node, then: maille key rotate-passphrase")
    for name in keys.names():
        days = (now - int((home.keys / f"{name}.key").stat().st_mtime)) // DAY
        if keys.file(name).purpose == "device" and days > DEVICE_DAYS:
            told = f"The key {name!r} is {days} days old."
            why = "A key that signs all day long should not be the same for ever. A successor goes on in its place."
            yield Finding("note", "DEVICE_KEY_OLD", told, why, "maille device certify")
    if keys.has(ROOT):
        told = "The root key lies on this machine."
        why = "It certifies devices; kept elsewhere, whoever takes the machine cannot become you."
        yield Finding("note", "ROOT_KEY_HERE", told, why, "maille key detach-root DIRECTORY")


def _disk(home: Home) -> Iterator[Finding]:
    if not home.path.is_dir():
        return
    usage = shutil.disk_usage(home.path)
    if usage.free < FREE_BYTES_MIN or usage.free < FREE_SHARE_MIN * usage.total:
        told = f"{usage.free >> 20} MiB are free on the disk of {home.path}, of {usage.total >> 20}."
        why = "On a full disk the node refuses whatever it would have to keep."
        yield Finding("warning", "DISK_LOW", told, why, "Make room, or move the data directory (--data-dir).")
    seconds = sync_seconds(home.path)
    if seconds is None:
        why = "Nothing can be acknowledged that cannot be kept."
        fix = "See the system's log: the disk may be full, read-only or broken."
        yield Finding("error", "DISK_REFUSES", f"Nothing can be written to {home.path}.", why, fix)
    elif seconds > SYNC_SECONDS_MAX:
        told = f"The disk takes {seconds * 1_000:.0f} ms to make one page durable."
        why = "Every entry waits for that before it is passed on."
        yield Finding("warning", "DISK_SLOW", told, why, "Use a disk of its own for the data directory.")


def sync_seconds(directory: Path) -> float | None:
    """Return how long a durable write of 4 KiB takes (median of five), or None where it cannot be done."""
    probe, taken = directory / f".probe.{os.getpid()}", []
    try:
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            for number in range(5):
                begun = time.perf_counter()
                os.pwrite(descriptor, bytes(4_096), number * 4_096)
                os.fdatasync(descriptor)
                taken.append(time.perf_counter() - begun)
        finally:
            os.close(descriptor)
            probe.unlink()
    except OSError:
        return None
    return statistics.median(taken)


def _limits() -> Iterator[Finding]:
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < FILES_MIN:
        told = f"At most {soft} files may be open at once."
        why = "Each channel needs one; at the limit nobody new is answered."
        yield Finding("warning", "FILES_LIMIT", told, why, f"ulimit -n {FILES_MIN}; for a service: LimitNOFILE=65536")


def _backups(home: Home, now: int) -> Iterator[Finding]:
    upkeep = read_upkeep(home.path)
    for mesh in home.mesh_names():
        for what, made, days, fix in (
            ("backup", upkeep.backups.get(mesh), BACKUP_DAYS, f"maille backup create DIRECTORY --mesh {mesh}"),
            ("drill", upkeep.drills.get(mesh), DRILL_DAYS, "maille backup drill DIRECTORY"),
        ):
            if made is None or now - made > days * DAY:
                since = "never" if made is None else f"{(now - made) // DAY} days ago"
                done = "backed up" if what == "backup" else "restored from a backup as an exercise"
                why = (
                    "What only this node knows (keys, contents of consents, readings) is lost with its disk."
                    if what == "backup"
                    else "A backup that was never restored may turn out to be none."
                )
                told = f"The mesh {mesh!r} was last {done}: {since}."
                severity: Severity = "warning" if what == "backup" else "note"
                yield Finding(severity, f"{what.upper()}_OLD", told, why, fix)


def _quota(home: Home, config: Config) -> Iterator[Finding]:
    found = Room(home, lambda: config.storage.quota_bytes).problem()
    if found is not None:
        code, told = found
        yield Finding("error" if code == QUOTA_FULL else "warning", code, told, WHY, FIX)


def _certificates(home: Home, config: Config, now: int) -> Iterator[Finding]:
    for table, part in (("api", config.api), ("pages", config.pages), ("console", config.console)):
        if part is None or not part.certificate or not part.key:
            continue
        files = home.path / part.certificate, home.path / part.key
        why = "Browsers and programs refuse to talk to us when it has run out."
        try:
            days = (certificate_end(*files) - now) // DAY
        except (OSError, ValueError) as error:
            told = f"The certificate of [{table}] cannot be used: {error}."
            yield Finding("error", "CERTIFICATE_BAD", told, why, f"Put a valid certificate and its key at {files[0]}.")
            continue
        if days < CERTIFICATE_DAYS:
            told = (
                f"The certificate of [{table}] ends in {days} days." if days >= 0 else f"That of [{table}] has ended."
            )
            severity: Severity = "warning" if days > 1 else "error"
            yield Finding(severity, "CERTIFICATE_ENDS", told, why, f"Renew {files[0]}, then restart the node.")


def certificate_end(certificate: Path, key: Path) -> int:
    """Return when a TLS certificate ends, unix seconds; it must fit its key. Raises OSError, ValueError.

    The standard library shows a certificate to a client alone: so we shake hands with ourselves, in memory.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(certificate)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True)
    for _ in range(6):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                if error.verify_code == _EXPIRED:
                    return 0
                raise ValueError(error.verify_message) from None
    found = ends[0].getpeercert() or {}
    return int(ssl.cert_time_to_seconds(str(found["notAfter"])))


_EXPIRED: Final = 10  # X509_V_ERR_CERT_HAS_EXPIRED


def mend(home: Home) -> list[str]:
    """Mend what can do no harm; return what was done, a sentence each."""
    done = []
    for path, mode in wrong_modes(home):
        path.chmod(mode)
        done.append(f"{path} now has mode {mode:04o}.")
    if home.socket.exists():
        try:
            with home.lock():
                home.socket.unlink(missing_ok=True)
                done.append(f"{home.socket} was left by a node that runs no more; it is gone.")
        except MailleError:
            pass  # the node runs, and the socket is its own
    return done
