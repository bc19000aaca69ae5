"""Keys on disk under attack: bits flipped, files cut, modes opened, passphrases wrong, crashes in between."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import codec
from ledger.errors import LocalError, MailleError, RemoteError
from node.keyfile import FILE_BYTES_MAX, MEMORY_BYTES_MAX, KeyFile, Purpose, Wrapping, public_of
from node.keystore import PASSPHRASE_CHARACTERS_MIN, Keystore, device_name
from tests.node.nodes import LIGHT

PASSPHRASE = "correct horse battery"
PURPOSES: tuple[Purpose, ...] = ("root", "device", "static", "vault", "tenant")


def draw(seed: int = 1) -> random.Random:
    return random.Random(seed)


def store(path: Path, passphrase: str | None = PASSPHRASE) -> Keystore:
    return Keystore.create(path / "keys", passphrase, draw().randbytes, LIGHT)


def again(path: Path, passphrase: str | None = PASSPHRASE) -> Keystore:
    found = Keystore(path / "keys", draw(2).randbytes, LIGHT)
    found.unlock(passphrase)
    return found


def sealed_file(purpose: Purpose = "root") -> tuple[KeyFile, Wrapping]:
    wrapping = Wrapping.derive(PASSPHRASE, LIGHT, bytes(16))
    return KeyFile.make(purpose, draw().randbytes(32), wrapping, draw().randbytes), wrapping


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_secret_comes_back(purpose: Purpose) -> None:
    file, wrapping = sealed_file(purpose)
    read = KeyFile.decode(file.encode())
    assert read == file
    assert read.open(wrapping) == draw().randbytes(32)
    assert read.unlock(PASSPHRASE) == draw().randbytes(32)
    assert read.public == public_of(purpose, draw().randbytes(32))


@pytest.mark.parametrize("sealed", [True, False])
def test_no_flipped_bit_opens(sealed: bool) -> None:
    file, wrapping = sealed_file()
    if not sealed:
        file = KeyFile.make("root", draw().randbytes(32), None, draw().randbytes)
    raw = file.encode()
    for bit in range(8 * len(raw)):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(MailleError) as caught:
            KeyFile.decode(bytes(changed)).open(wrapping)
        assert caught.value.code in {"KEY_LOCKED", "KEY_DAMAGED", "KEY_VERSION"}


def test_no_cut_file_opens() -> None:
    raw = sealed_file()[0].encode()
    for size in range(len(raw)):
        with pytest.raises(RemoteError) as caught:
            KeyFile.decode(raw[:size])
        assert caught.value.code == "KEY_DAMAGED"


@given(st.binary(max_size=FILE_BYTES_MAX + 2))
def test_any_bytes_are_a_key_file_or_refused(raw: bytes) -> None:
    with pytest.raises(RemoteError):
        KeyFile.decode(raw)


def test_a_file_cannot_ask_for_all_memory() -> None:
    file, _ = sealed_file()
    for operations, memory in ((1, MEMORY_BYTES_MAX + 1), (2**32, 8_192), (0, 8_192), (1, 0), (-1, 8_192)):
        seal = [operations, memory, bytes(16), bytes(24)]
        raw = codec.encode(["maille key", 1, "root", file.public, seal, file.body])
        with pytest.raises(RemoteError) as caught:
            KeyFile.decode(raw)
        assert caught.value.code == "KEY_DAMAGED"


def test_a_newer_format_is_named() -> None:
    file, _ = sealed_file()
    with pytest.raises(RemoteError) as caught:
        KeyFile.decode(codec.encode(["maille key", 2, "root", file.public, None, file.body]))
    assert caught.value.code == "KEY_VERSION"


def test_a_secret_is_never_shown() -> None:
    secret = draw().randbytes(32)
    for wrapping in (None, sealed_file()[1]):
        shown = repr(KeyFile.make("root", secret, wrapping, draw().randbytes)) + repr(wrapping)
        assert secret.hex() not in shown
        assert repr(secret)[2:-1] not in shown


def test_the_wrong_passphrase_locks(tmp_path: Path) -> None:
    store(tmp_path)
    for wrong in ("wrong horse battery", "", None):
        with pytest.raises(LocalError) as caught:
            again(tmp_path, wrong)
        assert caught.value.code == "KEY_LOCKED"


def test_a_key_under_another_name_is_refused(tmp_path: Path) -> None:
    held = store(tmp_path)
    (held.directory / "vault.key").write_bytes(held.raw("root"))
    with pytest.raises(LocalError) as caught:
        again(tmp_path)
    assert caught.value.code == "KEY_WRONG"


def test_keys_are_sealed_on_disk(tmp_path: Path) -> None:
    held = store(tmp_path)
    held.new_device("mesh")
    secrets = [held.secret(name) for name in held.names()]
    assert held.names() == ["device-mesh", "root", "static", "vault"]
    for path in held.directory.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        assert not any(secret in path.read_bytes() for secret in secrets)
    assert [again(tmp_path).secret(name) for name in held.names()] == secrets
    assert held.directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(("name", "mode", "advice"), [("root.key", 0o640, "chmod 600"), ("", 0o750, "chmod 700")])
def test_keys_that_others_can_reach_are_refused(tmp_path: Path, name: str, mode: int, advice: str) -> None:
    held = store(tmp_path)
    (held.directory / name).chmod(mode)
    with pytest.raises(LocalError, match=advice) as caught:
        again(tmp_path)
    assert caught.value.code == "KEY_MODE"


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    held = store(tmp_path)
    held.new_device("mesh")
    for act in (lambda: store(tmp_path), lambda: held.new_device("mesh")):
        with pytest.raises(LocalError) as caught:
            act()
        assert caught.value.code == "KEY_EXISTS"


def test_a_short_passphrase_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(LocalError) as caught:
        store(tmp_path, "x" * (PASSPHRASE_CHARACTERS_MIN - 1))
    assert caught.value.code == "PASSPHRASE_SHORT"
    assert not (tmp_path / "keys").exists()


def test_a_new_key_needs_the_passphrase(tmp_path: Path) -> None:
    store(tmp_path)
    locked = Keystore(tmp_path / "keys", draw().randbytes, LIGHT)
    with pytest.raises(LocalError) as caught:
        locked.new_device("mesh")
    assert caught.value.code == "KEY_LOCKED"
    assert not locked.has(device_name("mesh"))


def test_plain_keys_need_none(tmp_path: Path) -> None:
    held = store(tmp_path, None)
    assert not held.sealed
    assert again(tmp_path, None).secret("root") == held.secret("root")
    (held.directory / "root.key").write_bytes(held.raw("root")[:-1] + b"\x00")
    with pytest.raises(RemoteError) as caught:
        again(tmp_path, None)
    assert caught.value.code == "KEY_DAMAGED"


@pytest.mark.covers("R90")
def test_the_root_key_can_be_elsewhere(tmp_path: Path) -> None:
    held = store(tmp_path)
    secret = held.secret("root")
    (tmp_path / "usb").mkdir()
    moved = held.detach_root(tmp_path / "usb")
    assert moved.stat().st_mode & 0o777 == 0o600
    assert KeyFile.decode(moved.read_bytes()).unlock(PASSPHRASE) == secret
    rest = again(tmp_path)
    assert not rest.has("root")
    with pytest.raises(LocalError, match="--root-key") as caught:
        rest.secret("root")
    assert caught.value.code == "KEY_MISSING"


def test_a_plain_root_key_is_not_carried_about(tmp_path: Path) -> None:
    with pytest.raises(LocalError) as caught:
        store(tmp_path, None).detach_root(tmp_path)
    assert caught.value.code == "KEY_UNSEALED"
    assert again(tmp_path, None).has("root")


def test_a_root_key_that_cannot_be_written_stays(tmp_path: Path) -> None:
    held = store(tmp_path)
    with pytest.raises(LocalError) as caught:
        held.detach_root(tmp_path / "absent")
    assert caught.value.code == "FILE_WRITE"
    assert held.has("root")


def test_a_new_passphrase_replaces_the_old_one(tmp_path: Path) -> None:
    held = store(tmp_path)
    before = {name: held.secret(name) for name in held.names()}
    held.rotate("another passphrase")
    with pytest.raises(LocalError):
        again(tmp_path)
    fresh = again(tmp_path, "another passphrase")
    assert {name: fresh.secret(name) for name in fresh.names()} == before
    fresh.rotate(None)
    assert not again(tmp_path, None).sealed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keys"]


@pytest.mark.parametrize("crash", ["before the first rename", "between the renames", "before the old ones went"])
def test_a_crash_while_the_passphrase_changes_leaves_one_whole_set(tmp_path: Path, crash: str) -> None:
    store(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    fresh = Keystore.create(other / "keys", "another passphrase", draw().randbytes, LIGHT)
    keys = tmp_path / "keys"
    opens = "another passphrase"
    match crash:
        case "before the first rename":
            fresh.directory.rename(tmp_path / "keys.partial")
            opens = PASSPHRASE
        case "between the renames":
            keys.rename(tmp_path / "keys.old")
            fresh.directory.rename(tmp_path / "keys.new")
        case _:
            keys.rename(tmp_path / "keys.old")
            fresh.directory.rename(keys)
    assert again(tmp_path, opens).names() == ["root", "static", "vault"]
    assert not (tmp_path / "keys.old").exists()


@given(st.integers(0, 2**32))
def test_the_same_secret_is_never_sealed_alike(seed: int) -> None:
    randomness = random.Random(seed)
    secret, wrapping = randomness.randbytes(32), Wrapping(LIGHT, bytes(16), bytes(32))
    one, two = (KeyFile.make("root", secret, wrapping, randomness.randbytes) for _ in range(2))
    assert one.body != two.body
