"""What a command has around it: the data directory, sentences for a person, questions, secrets, files.

How it works
    Results go to standard output; sentences, questions and errors to standard error, so that output can be piped.
    A question is asked only where standard input is a terminal; elsewhere it is an error that says what to give.
    A passphrase comes from --passphrase-file, else from the systemd credential `maille-passphrase`, else from a
    prompt. It is never an argument or an environment variable: those show in process lists.

What it does not do
    It renders no result (render) and keeps no secret.
"""

from __future__ import annotations

import getpass
import os
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ledger.errors import LocalError, MailleError
from node.cli.there import at
from node.exits import not_found, usage
from node.operation import Result

CREDENTIAL = "maille-passphrase"
"""Name of the systemd credential that holds the passphrase (LoadCredentialEncrypted=)."""
PASSPHRASE_BYTES_MAX = 1_024
CONTENT_BYTES_MAX = 48 * 2**20
"""Largest file a command reads into an argument, in bytes."""


class Terminal:
    """The surroundings of one command (node.operation.Local)."""

    def __init__(
        self, data_dir: Path, named: str = "", *, quiet: bool, passphrase_file: Path | None, yes: bool
    ) -> None:
        """`named`: the directory as an option gave it, which commands in sentences repeat; "" where none did.

        `quiet`: a machine reads the result. `yes`: every question is answered with yes.
        """
        self.data_dir, self._named = data_dir, named
        self._quiet, self._passphrase_file, self._yes = quiet, passphrase_file, yes

    def say(self, sentence: str) -> None:
        """Tell a person what goes on, on standard error."""
        if not self._quiet:
            print(at(self._named, sentence), file=sys.stderr, flush=True)

    def tell(self, sentence: str) -> None:
        """Print a sentence that is itself the result, on standard output."""
        if not self._quiet:
            print(at(self._named, sentence), flush=True)

    def emit(self, row: Result, drawn: str) -> None:
        """Print one part of a result that never ends, on standard output."""
        print(msgspec.json.encode(row).decode() if self._quiet else at(self._named, drawn), flush=True)

    @contextmanager
    def waiting(self, what: str, every_s: float = 1) -> Iterator[None]:
        """Show on a terminal's standard error how long something takes, once it takes more than a second.

        `every_s`: how often, in seconds.
        """
        if self._quiet or not sys.stderr.isatty():
            yield
            return
        done = threading.Event()

        def tell() -> None:
            shown = 0
            while not done.wait(every_s):
                shown += 1
                print(f"\r{what}: {shown * every_s:.0f} s", end="", file=sys.stderr, flush=True)
            if shown:
                print("\r\x1b[K", end="", file=sys.stderr, flush=True)

        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        try:
            yield
        finally:
            done.set()
            teller.join()

    def confirm(self, question: str) -> None:
        """Ask before what cannot be undone. Raises LocalError NEEDS_YES where nobody can answer, or on a no."""
        if self._yes:
            return
        if not sys.stdin.isatty():
            raise LocalError("NEEDS_YES", f"{question} Give --yes to do it without being asked.")
        print(f"{at(self._named, question)} [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise LocalError("NEEDS_YES", "Nothing was done.")

    def passphrase(self, *, new: bool = False) -> str | None:
        """Return the passphrase of the keys. Raises LocalError KEY_LOCKED where there is nobody to ask."""
        if self._passphrase_file is not None:
            return read_secret(self._passphrase_file)
        directory = os.environ.get("CREDENTIALS_DIRECTORY")
        if directory and (Path(directory) / CREDENTIAL).is_file():
            return read_secret(Path(directory) / CREDENTIAL)
        return ask_secret("Passphrase of the keys", "--passphrase-file FILE", twice=new)


def ask_secret(what: str, instead: str, *, twice: bool = False) -> str:
    """Ask for a secret, unseen. `instead`: the option that gives it where nobody can be asked.

    Raises LocalError KEY_LOCKED without a terminal, and when the two entries differ.
    """
    if not sys.stdin.isatty():
        raise LocalError("KEY_LOCKED", f"{what} is needed and there is no terminal to ask on; give {instead}.")
    secret = getpass.getpass(f"{what}: ", stream=sys.stderr)
    if twice and getpass.getpass("The same again: ", stream=sys.stderr) != secret:
        raise LocalError("KEY_LOCKED", "The two entries differ; nothing was done.")
    return secret


def read_secret(path: Path) -> str:
    """Read a secret from a file: its first line. Raises LocalError when others may read it, or it is no text."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read(PASSPHRASE_BYTES_MAX + 1)
    except OSError as error:
        raise unreadable(path, error) from None
    if stat.S_ISREG(mode) and mode & 0o077:
        told = f"Others can read {path}; run: chmod 600 {path}"
        raise LocalError("SECRET_MODE", told)
    if len(raw) > PASSPHRASE_BYTES_MAX:
        raise usage(f"{path} has more than {PASSPHRASE_BYTES_MAX} bytes: that is no passphrase.")
    try:
        return raw.decode().split("\n")[0].removesuffix("\r")
    except UnicodeDecodeError:
        raise usage(f"{path} is not UTF-8 text.") from None


def read_content(given: str, *, text: bool, field: str) -> bytes:
    """Return what an argument stands for: - is standard input, else a file; a text may also be given itself."""
    if given == "-":
        raw = sys.stdin.buffer.read(CONTENT_BYTES_MAX + 1)
    else:
        path = Path(given)
        try:
            if text and not path.is_file():
                return given.encode()
            with path.open("rb") as file:
                raw = file.read(CONTENT_BYTES_MAX + 1)
        except OSError as error:
            if text:
                return given.encode()  # a name no file can have
            raise unreadable(path, error) from None
    if len(raw) > CONTENT_BYTES_MAX:
        raise usage(f"More than {CONTENT_BYTES_MAX} bytes; give a smaller file.", field)
    return raw


def write_new(path: Path, data: bytes) -> None:
    """Write a result to a file of mode 0600, whole or not at all. Raises LocalError FILE_WRITE."""
    young = path.with_name(f".{path.name}.partial")
    try:
        young.unlink(missing_ok=True)
        descriptor = os.open(young, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        young.replace(path)
    except OSError as error:
        raise LocalError("FILE_WRITE", f"{path} cannot be written: {error.strerror}.") from None


def unreadable(path: Path, error: OSError) -> MailleError:
    """Return the error of a file that cannot be read."""
    if isinstance(error, FileNotFoundError):
        return not_found(f"There is no file {path}.")
    return LocalError("FILE_READ", f"{path} cannot be read: {error.strerror}.")
