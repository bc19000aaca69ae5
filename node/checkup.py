"""What can be seen of a node's health on its own machine, without asking it: files, keys, disk, limits, certificates.

How it works
    Each check looks at one thing and returns what it found amiss: nothing, or a `Finding` that says what, why it
    matters and the exact command that mends it, in the sentences of node/amiss.py. `mend` carries out those repairs
    that cannot do harm: modes of files that are ours, and a socket that a crash left.

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
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from ledger.errors import MailleError
from node.amiss import AMISS
from node.config import Config, Home
from node.operation import Result, said
from node.room import QUOTA_FULL, START_BYTES, Room, journals
from node.saying import Pair, Value, beside, english, french
from node.upkeep import Upkeep, read_upkeep

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


class Finding(Result, frozen=True, dict=True):
    """Something that is amiss. Made by `finding`, it keeps its French sentences (node/saying.py)."""

    severity: Annotated[Severity, said("error: the node cannot do its work; warning: it soon may not; or note.")]
    code: Annotated[str, said("Stable, in capital letters.")]
    message: Annotated[str, said("What was found.")]
    why: Annotated[str, said("Why it matters.")]
    fix: Annotated[str, said("The command that mends it, or what to do.")]


def finding(severity: Severity, key: str, code: str = "", /, **values: Value) -> Finding:
    """Return the finding of a key of `AMISS`. `code`: where it is not the key's own; `values`: for the places."""
    said = AMISS[key]
    message, why, fix = (english(pair, values) for pair in said)
    found = Finding(severity, code or key.partition(".")[0], message, why, fix)
    return beside(found, **{name: french(pair, values) for name, pair in said._asdict().items()})


def look(home: Home, now: int) -> Iterator[Finding]:
    """Yield every finding on this machine. `now`: unix seconds."""
    config: Config | None = None
    try:
        config = home.config()
    except MailleError as error:
        where = f"{error.field}: " if error.field else ""
        yield finding("error", "CONFIG_INVALID", error.code, error=where + error.message)
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
        yield finding("error", "FILE_MODE", path=path, mode=mode, most=most)
    for path in (home.path, home.keys):
        if path.exists() and path.stat().st_uid != os.geteuid():
            yield finding("warning", "FILE_OWNER", path=path, owner=path.stat().st_uid, runner=os.geteuid())


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
        yield finding("error", "KEY_UNREADABLE", error.code, error=error.message)
        return
    if plain:
        yield finding("warning", "KEYS_UNSEALED.files", names=", ".join(plain))
    for name in keys.names():
        days = (now - int((home.keys / f"{name}.key").stat().st_mtime)) // DAY
        if keys.file(name).purpose == "device" and days > DEVICE_DAYS:
            yield finding("note", "DEVICE_KEY_OLD", name=name, days=days)
    if keys.has(ROOT):
        yield finding("note", "ROOT_KEY_HERE")


def _disk(home: Home) -> Iterator[Finding]:
    if not home.path.is_dir():
        return
    usage = shutil.disk_usage(home.path)
    if (full := too_full_to_start(home)) is not None:
        yield full
    elif usage.free < FREE_BYTES_MIN or usage.free < FREE_SHARE_MIN * usage.total:
        yield finding("warning", "DISK_LOW", free=usage.free >> 20, path=home.path, total=usage.total >> 20)
    seconds = sync_seconds(home.path)
    if seconds is None:
        yield finding("error", "DISK_REFUSES", path=home.path)
    elif seconds > SYNC_SECONDS_MAX:
        yield finding("warning", "DISK_SLOW", ms=seconds * 1_000)


def too_full_to_start(home: Home) -> Finding | None:
    """Return what a start may be refused for where the disk is full: how much room it needs, and what to do."""
    found, free = journals(home), shutil.disk_usage(home.path).free
    need = START_BYTES * len(found)
    if free >= need:
        return None
    names = ", ".join(map(str, found))
    lack = -((free - need) >> 20)  # whole MiB, rounded up
    return finding("error", "DISK_FULL", free=free >> 20, path=home.path, need=need >> 20, journals=names, lack=lack)


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
        yield finding("warning", "FILES_LIMIT", soft=soft, least=FILES_MIN)


_KEPT_UP: Final[tuple[tuple[str, Severity, Callable[[Upkeep], Mapping[str, int]], int], ...]] = (
    ("BACKUP_OLD", "warning", lambda upkeep: upkeep.backups, BACKUP_DAYS),
    ("DRILL_OLD", "note", lambda upkeep: upkeep.drills, DRILL_DAYS),
)


def _backups(home: Home, now: int) -> Iterator[Finding]:
    upkeep = read_upkeep(home.path)
    for mesh in home.mesh_names():
        for key, severity, made, days in _KEPT_UP:
            since = made(upkeep).get(mesh)
            if since is None or now - since > days * DAY:
                yield finding(severity, key, mesh=mesh, since=_since(since, now))


def _since(made: int | None, now: int) -> Pair:
    if made is None:
        return "never", "jamais"
    days = (now - made) // DAY
    return f"{days} days ago", f"il y a {days} jours"


def _quota(home: Home, config: Config) -> Iterator[Finding]:
    found = Room(home, lambda: config.storage.quota_bytes).problem()
    if found is not None:
        code, values = found
        yield finding("error" if code == QUOTA_FULL else "warning", code, **values)


def _certificates(home: Home, config: Config, now: int) -> Iterator[Finding]:
    for table, part in (("api", config.api), ("pages", config.pages), ("console", config.console)):
        if part is None or not part.certificate or not part.key:
            continue
        files = home.path / part.certificate, home.path / part.key
        try:
            days = (certificate_end(*files) - now) // DAY
        except (OSError, ValueError) as error:
            yield finding("error", "CERTIFICATE_BAD", table=table, path=files[0], error=error)
            continue
        if days < CERTIFICATE_DAYS:
            key = "CERTIFICATE_ENDS" if days >= 0 else "CERTIFICATE_ENDS.ended"
            yield finding("warning" if days > 1 else "error", key, table=table, days=days, path=files[0])


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
