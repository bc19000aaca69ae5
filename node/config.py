"""Where a node lives and how it is set: the data directory, its lock, and config.toml.

| in the data directory (0700) | what |
|---|---|
| `config.toml` | settings, for a person to edit (`Config`) |
| `keys/` | root.key, static.key, vault.key, device-MESH.key (node/keystore.py) |
| `meshes/NAME/ledger`, `meshes/NAME/vault` | one ledger and one vault for each mesh |
| `control.sock` | the control API of the running node |
| `lock` | held while a node runs, or a command that must not meet a running one |

How it works
    The directory is --data-dir, else MAILLE_DATA_DIR, else systemd's STATE_DIRECTORY, else /var/lib/maille for
    root on Linux, else the user's own data directory. `Home` knows the paths. The settings are read whole and
    strictly: an unknown or wrong field is refused with its line.

What it does not do
    It opens no store and no key, and never writes config.toml again after `init`: it belongs to the operator.
"""

from __future__ import annotations

import fcntl
import os
import re
import sys
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from ledger.errors import LocalError
from node.console.settings import Console
from node.exits import not_found
from node.pages.settings import Pages, Served
from node.shapes import Address, Certificate, FilePath, PrivateKey, fault, line_of, toml_value
from node.tables import Discovery, Links, Relay, Storage, Wallets, as_tables

LISTEN: Final = "127.0.0.1:8470"
"""Where a new node listens unless it is told otherwise: reachable from this machine alone."""
SOCKET_PATH_BYTES_MAX: Final = 100
"""A unix socket's path is limited to 104 or 108 bytes by the system."""
ADDRESSES_MAX: Final = 8
CONFIG_BYTES_MAX: Final = 64 * 1024

TOKENS_FILE: Final = "tokens.json"
"""Where the hashes of the API's tokens are, in the data directory, unless `[api] tokens` says otherwise."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")

_OURS: Final = frozenset({"meshes", "lock", "config.partial", "lost+found"})
"""What may lie in a directory where no node was made to its end, besides hidden files."""

_HostName = Annotated[str, Meta(description="a name of this node, without a port", examples=["node.example.org"])]
_Origin = Annotated[str, Meta(description="the origin of a web page", examples=["https://app.example.org"])]


class Api(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The control API over TCP, with tokens (node/listening.py). Files: seen from the data directory.

    `hosts`: further names by which the node is asked. `origins`: of web pages that may ask.
    """

    listen: Annotated[Address, Meta(examples=["127.0.0.1:8480"])]
    certificate: Certificate = ""
    key: PrivateKey = ""
    hosts: Annotated[tuple[_HostName, ...], Meta(max_length=16)] = ()
    origins: Annotated[tuple[_Origin, ...], Meta(max_length=16)] = ()
    tokens: FilePath = TOKENS_FILE


class Webhooks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Web-hooks (node/hooks.py). `private`: whether addresses of this machine and of private networks may be told."""

    private: bool = False


class Metrics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Metrics and probes over HTTP, on this machine alone (node/observing.py). `listen`: a loopback address."""

    listen: Annotated[Address, Meta(examples=["127.0.0.1:9470"])] = "127.0.0.1:9470"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings. `listen`: where to accept peers. `advertise`: where others reach us; empty: as we listen.

    `probes_a_day`: conformance probes of others that the node makes by itself, on average; 0: none.
    `pending_evidence`: whether the gate here lets data go on a paper that nobody has checked yet. `pages`: for the
    people whom the node hosts; `console`: for those who run it; None: it serves none.
    """

    name: Annotated[str, Meta(min_length=1, max_length=100, examples=["cooperative"])]
    listen: Annotated[tuple[Address, ...], Meta(max_length=ADDRESSES_MAX)] = (LISTEN,)
    advertise: Annotated[tuple[Address, ...], Meta(max_length=ADDRESSES_MAX)] = ()
    log_format: Literal["auto", "json", "console"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    workers: Annotated[int, Meta(ge=0, le=64)] | None = None
    probes_a_day: Annotated[int, Meta(ge=0, le=48, examples=[1])] = 0
    pending_evidence: bool = False
    pages: Pages | None = None
    console: Console | None = None
    api: Api | None = None
    webhooks: Webhooks = Webhooks()
    metrics: Metrics | None = None
    storage: Storage = Storage()
    relay: Relay = Relay()
    discovery: Discovery = Discovery()
    links: Links = Links()
    wallets: Wallets = Wallets()


API_SAMPLE: Final = """
# The control API for programs on other machines (or in containers), with tokens: `maille token make`. Without a
# certificate it listens on this machine alone.
# [api]
# listen = "127.0.0.1:8480"
# certificate = "tls/fullchain.pem"
# key = "tls/privkey.pem"

# Web-hooks to addresses of this machine or of private networks (`maille webhook add`).
# [webhooks]
# private = true

# Metrics for Prometheus and probes for a supervisor (/metrics, /livez, /readyz), on this machine alone.
# [metrics]
# listen = "127.0.0.1:9470"

# Pages for those who run the node, with a token (`maille token make`); elsewhere than here they need a certificate,
# or a proxy that ends TLS (node/console/settings.py).
# [console]
# listen = "127.0.0.1:9480"
"""
PAGES_SAMPLE: Final = """
# Pages for the people whose wallets this node keeps (node/pages/settings.py says all): invite them by
# `maille pages invite`. They need a certificate, or a proxy that ends TLS; for a trial on this machine alone, take
# listen = "127.0.0.1:8443" and url = "http://localhost:8443".
# [pages]
# listen = "0.0.0.0:443"
# url = "https://consents.example.org"
# certificate = "tls/fullchain.pem"
# key = "tls/privkey.pem"
# languages = ["fr", "en"]
"""


def data_directory(given: Path | None = None) -> Path:
    """Return the data directory, absolute; it need not exist."""
    if given is not None:
        return given.absolute()
    for variable in ("MAILLE_DATA_DIR", "STATE_DIRECTORY"):
        if os.environ.get(variable):
            return Path(os.environ[variable]).absolute()
    if os.geteuid() == 0 and sys.platform == "linux":
        return Path("/var/lib/maille")
    from platformdirs import user_data_path

    return user_data_path("maille", appauthor=False)


def socket_path(data_dir: Path) -> Path:
    """Return the control socket's path. Raises LocalError PATH_TOO_LONG."""
    path = data_dir / "control.sock"
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
        raise LocalError("PATH_TOO_LONG", f"{path} is too long for a socket's name; choose a shorter --data-dir.")
    return path


def check_name(name: str, field: str = "name") -> str:
    """Return a local name (of a mesh) that can be a file's name. Raises LocalError BAD_NAME."""
    if not _NAME.fullmatch(name):
        told = f"{name!r} cannot be a name here: 1 to 40 small letters, digits and hyphens."
        raise LocalError("BAD_NAME", told, field=field)
    return name


@dataclass(frozen=True, slots=True)
class Home:
    """The paths of one data directory."""

    path: Path

    @property
    def config_file(self) -> Path:
        """config.toml."""
        return self.path / "config.toml"

    @property
    def keys(self) -> Path:
        """The directory of the keys."""
        return self.path / "keys"

    @property
    def meshes(self) -> Path:
        """The directory of the meshes, one directory each."""
        return self.path / "meshes"

    @property
    def socket(self) -> Path:
        """The control socket. Raises LocalError PATH_TOO_LONG."""
        return socket_path(self.path)

    def mesh(self, name: str) -> Path:
        """The directory of one mesh."""
        return self.meshes / check_name(name, "mesh")

    def mesh_names(self) -> list[str]:
        """The meshes there are; what a crash or a person left beside them is not counted."""
        if not self.meshes.is_dir():
            return []
        return sorted(p.name for p in self.meshes.iterdir() if _NAME.fullmatch(p.name) and (p / "ledger").is_dir())

    def require_free(self) -> None:
        """Refuse a directory that holds a node, or what is none of ours: it is closed to others and filled with keys.

        Hidden files and lost+found may lie in it, as new home directories and file systems have them.
        Raises LocalError NODE_EXISTS, DIRECTORY_REFUSED.
        """
        if self.config_file.exists() and not self.keys.exists():
            told = (
                f"There are settings in {self.path}, but no keys. Of a node that was restored, put the key files into "
            )
            told += f"{self.keys}; if there never was a node, delete {self.config_file} and run this again."
            raise LocalError("NODE_EXISTS", told)
        if self.config_file.exists() or self.keys.exists():
            told = f"There is a node in {self.path} already; run it, or choose another --data-dir."
            raise LocalError("NODE_EXISTS", told)
        try:
            there = sorted(path.name for path in self.path.iterdir()) if self.path.is_dir() else []
        except OSError as error:
            raise _unusable(self.path, error) from None
        if strange := [name for name in there if name not in _OURS and not name.startswith(".")]:
            told = f"{self.path} has other things in it ({', '.join(strange[:3])}); a node wants a directory of its own"
            raise LocalError("DIRECTORY_REFUSED", f"{told}: choose another --data-dir.")

    def create(self, config: Config) -> None:
        """Make the directory and its settings. Raises LocalError NODE_EXISTS, DIRECTORY_REFUSED."""
        self.require_free()
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            self.meshes.mkdir(mode=0o700, exist_ok=True)
            young = self.config_file.with_suffix(".partial")
            young.write_text(as_toml(config), encoding="utf-8")
            young.replace(self.config_file)
        except OSError as error:
            told = f"{self.path} cannot be made: {error.strerror}; choose another --data-dir."
            raise LocalError("DIRECTORY_REFUSED", told) from None

    def config(self) -> Config:
        """Read the settings. Raises LocalError NOT_FOUND (no node here), CONFIG_INVALID (naming line and field)."""
        try:
            with self.config_file.open("rb") as file:
                raw = file.read(CONFIG_BYTES_MAX + 1)
        except FileNotFoundError:
            raise not_found(f"There is no node in {self.path}; make one with `maille node init`.") from None
        except OSError as error:
            raise LocalError("CONFIG_INVALID", f"{self.config_file} cannot be read: {error.strerror}.") from None
        return read_config(raw, str(self.config_file))

    def lock(self) -> Lock:
        """Take the data directory for this process. Raises LocalError NODE_RUNNING."""
        return Lock(self.path)


def _unusable(path: Path, error: OSError) -> LocalError:
    return LocalError("DIRECTORY_REFUSED", f"{path} cannot be used: {error.strerror}; choose another --data-dir.")


class Lock:
    """A held data directory. The system lets go of it when the process ends, however it ends."""

    def __init__(self, data_dir: Path) -> None:
        """Take the lock. Raises LocalError NODE_RUNNING when another process holds it, NOT_FOUND."""
        try:
            self._descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            raise not_found(f"There is no node in {data_dir}; make one with `maille node init`.") from None
        except OSError as error:
            raise _unusable(data_dir, error) from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._descriptor, 20).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            told = f"Process {holder or 'unknown'} runs on {data_dir}; stop it first, or choose another --data-dir."
            raise LocalError("NODE_RUNNING", told) from None
        with suppress(OSError):  # a full disk; the lock holds all the same, without telling who has it
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Lock:
        """Hold it for a with-block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go."""
        self.release()


def read_config(raw: bytes, name: str) -> Config:
    """Read settings from TOML. `name`: of the file, for errors. Raises LocalError CONFIG_INVALID."""
    if len(raw) > CONFIG_BYTES_MAX:
        raise LocalError("CONFIG_INVALID", f"It has more than {CONFIG_BYTES_MAX} bytes.", field=name)
    text = raw.decode(errors="replace")
    try:
        raw.decode()
        config = msgspec.convert(tomllib.loads(text), Config)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise LocalError("CONFIG_INVALID", "This line is not UTF-8 text.", field=f"{name}, line {line}") from None
    except tomllib.TOMLDecodeError as error:
        found = re.search(r" \(at line (\d+), column (\d+)\)", str(error))
        where = f"{name}, line {found[1]}, column {found[2]}" if found else f"{name}, end"
        told = str(error).split(" (at ")[0]
        raise LocalError("CONFIG_INVALID", f"This is not TOML: {told}.", field=where) from None
    except msgspec.ValidationError as error:
        wrong = fault(error, Config)
        number = line_of(wrong.path, text)
        where = name if number is None else f"{name}, line {number}"
        raise LocalError("CONFIG_INVALID", f"{wrong.told}.", field=where) from None
    for served in (config.pages, config.console):
        if served is not None:
            served.check()
    return config


def as_toml(config: Config) -> str:
    """Return the settings as the file that `init` writes."""
    workers = "# workers = 1" if config.workers is None else f"workers = {config.workers}"
    return f"""\
# Settings of a maille node. Read at start; `maille node run` refuses what it does not understand.

# What other members see beside our key.
name = {toml_value(config.name)}

# Where we accept peers, as host:port. Nothing here: we only dial, which is enough if others can be reached.
listen = {toml_value(config.listen)}

# Where others reach us, if that differs (behind a router, or when listening on 0.0.0.0).
advertise = {toml_value(config.advertise)}

# auto (json unless a terminal reads it), json or console; debug, info, warning or error.
log_format = {toml_value(config.log_format)}
log_level = {toml_value(config.log_level)}

# Processes that verify signatures in bulk; by default one less than the processors, at least one.
{workers}

# How many times a day, on average, to ask some member for data without consent, to see that it refuses.
probes_a_day = {config.probes_a_day}

# Whether data may go, or be taken in, on the ground of a transcribed paper that nobody has checked yet.
pending_evidence = {"true" if config.pending_evidence else "false"}
{_api_toml(config)}{PAGES_SAMPLE if config.pages is None else served_toml(config.pages)}"""


def _api_toml(config: Config) -> str:
    found = API_SAMPLE
    if config.api is not None:
        api, lines = config.api, ["[api]"]
        lines += [f"{name} = {toml_value(value)}" for name, value in msgspec.structs.asdict(api).items()]
        found += "\n".join(["", *lines, ""])
    if config.metrics is not None:
        found += f"\n[metrics]\nlisten = {toml_value(config.metrics.listen)}\n"
    if config.console is not None:
        found += served_toml(config.console)
    found += as_tables(
        storage=config.storage,
        relay=config.relay,
        discovery=config.discovery,
        links=config.links,
        wallets=config.wallets,
    )
    return found + ("\n[webhooks]\nprivate = true\n" if config.webhooks.private else "")


def served_toml(served: Served) -> str:
    """Return the table of pages as TOML, with the tables in it."""
    plain = msgspec.structs.asdict(served)
    inner = {name: value for name, value in plain.items() if isinstance(value, msgspec.Struct)}
    tables = [(served.TABLE, {**plain, **dict.fromkeys(inner)})]
    tables += [(f"{served.TABLE}.{name}", msgspec.structs.asdict(value)) for name, value in inner.items()]
    lines: list[str] = []
    for name, values in tables:
        lines += ["", f"[{name}]"]
        lines += [f"{key} = {toml_value(value)}" for key, value in values.items() if value is not None]
    return "\n".join(lines) + "\n"
