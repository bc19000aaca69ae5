"""Settings and the data directory: what is refused, and where the fault is."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import LocalError
from node.config import Config, Home, Lock, as_toml, check_name, data_directory, read_config, socket_path

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=100)
addresses = st.lists(st.sampled_from(["127.0.0.1:1", "[::1]:8470", "mesh.example:65535"]), max_size=8).map(tuple)


@given(names, addresses, st.sampled_from([None, 0, 7]))
def test_what_init_writes_is_read_again(name: str, listen: tuple[str, ...], workers: int | None) -> None:
    config = Config(name=name, listen=listen, advertise=listen[:1], workers=workers)
    assert read_config(as_toml(config).encode(), "config.toml") == config


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('name = "a"\nlisten = "127.0.0.1:1"\n', "line 2"),
        ('name = "a"\n\nlitsen = []\n', "line 3"),
        ('name = "a"\nlisten = ["127.0.0.1"]\n', "line 2"),
        ('name = "a"\nlog_level = "loud"\n', "line 2"),
        ('name = "a"\nworkers = -1\n', "line 2"),
        ('name = "a"\n\n[pages]\nlisten = "127.0.0.1:1"\n', "line 3"),
        ('name = "a"\nlisten = [\n', ""),
        ('name = "a\n', "line 1"),
        ("listen = []\n", "config.toml"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_line(text: str, where: str) -> None:
    with pytest.raises(LocalError) as caught:
        read_config(text.encode(), "config.toml")
    assert caught.value.code == "CONFIG_INVALID"
    assert where in (caught.value.field or "")


def test_a_wrong_word_is_refused_with_those_that_may_stand_there() -> None:
    with pytest.raises(
        LocalError, match=r'must be one of "debug", "error", "info", "warning": write, for example: log_level = "info"'
    ):
        read_config(b'name = "a"\nlog_level = "loud"\n', "config.toml")


@pytest.mark.parametrize(
    ("text", "field", "mended"),
    [
        ('[pages]\nlisten = "127.0.0.1:8443"\n', "url", 'url = "http://localhost:8443"'),
        ('[pages]\nurl = "http://localhost:8443"\n', "listen", 'listen = "127.0.0.1:8443"'),
        ('[pages]\nlisten = "127.0.0.1:8443"\nurl = "localhost"\n', "url", 'url = "http://localhost:8443"'),
    ],
)
def test_a_field_that_is_missing_or_wrong_is_told_in_our_words_with_an_example_that_works(
    text: str, field: str, mended: str
) -> None:
    with pytest.raises(LocalError) as caught:
        read_config(f'name = "a"\n{text}'.encode(), "config.toml")
    assert caught.value.message.startswith(f"The field {field} of the table [pages] ")
    assert caught.value.message.endswith(f"write, for example: {mended}.")
    assert "`" not in caught.value.message
    whole = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(f"{field} ")) + mended
    assert read_config(f'name = "a"\n{whole}'.encode(), "config.toml").pages is not None


def test_the_guides_tables_of_pages_are_read_as_they_stand() -> None:
    guide = (Path(__file__).resolve().parents[2] / "docs" / "guides" / "console.md").read_text("utf-8")
    tables = re.findall(r"(?s)```toml\n(.*?)```", guide)
    found = [read_config(f'name = "a"\n{table}'.encode(), "config.toml") for table in tables]
    assert any(one.pages is not None and one.pages.url == "http://localhost:8443" for one in found)


def test_settings_that_are_no_text_or_too_long_are_refused() -> None:
    with pytest.raises(LocalError, match="not UTF-8") as caught:
        read_config(b'name = "a"\nlisten = ["\xff"]', "config.toml")
    assert caught.value.field == "config.toml, line 2"
    with pytest.raises(LocalError, match="more than"):
        read_config(b"#" * 70_000, "config.toml")


@given(st.binary(max_size=200))
def test_bytes_without_a_name_are_refused(raw: bytes) -> None:
    with pytest.raises(LocalError) as caught:
        read_config(raw, "x")
    assert caught.value.code == "CONFIG_INVALID"


def test_the_directory_is_found_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/elsewhere")
    assert data_directory() == Path("/var/lib/elsewhere")
    monkeypatch.setenv("MAILLE_DATA_DIR", "/srv/maille")
    assert data_directory() == Path("/srv/maille")
    assert data_directory(tmp_path) == tmp_path


@pytest.mark.parametrize("name", ["", "A", "a b", "../a", "a" * 41, "-a", ".a", "é"])
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(LocalError) as caught:
        check_name(name)
    assert caught.value.code == "BAD_NAME"


def test_a_path_too_long_for_a_socket_is_refused() -> None:
    with pytest.raises(LocalError) as caught:
        socket_path(Path("/" + "a" * 120))
    assert caught.value.code == "PATH_TOO_LONG"


def test_a_directory_is_made_once(tmp_path: Path) -> None:
    home = Home(tmp_path / "node")
    home.create(Config(name="a"))
    assert home.path.stat().st_mode & 0o777 == 0o700
    with pytest.raises(LocalError) as caught:
        home.create(Config(name="b"))
    assert caught.value.code == "NODE_EXISTS"
    assert home.config().name == "a"


@pytest.mark.parametrize("there", [(), (".bashrc", "lost+found"), ("meshes", "lock")])
def test_a_directory_that_is_empty_but_for_what_is_ours_or_hidden_is_taken(
    tmp_path: Path, there: tuple[str, ...]
) -> None:
    for name in there:
        (tmp_path / name).mkdir()
    Home(tmp_path).create(Config(name="a"))
    assert Home(tmp_path).config().name == "a"


def test_a_directory_of_others_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear all")
    tmp_path.chmod(0o755)
    with pytest.raises(LocalError, match=r"letters\.txt") as caught:
        Home(tmp_path).create(Config(name="a"))
    assert caught.value.code == "DIRECTORY_REFUSED"
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]
    assert tmp_path.stat().st_mode & 0o777 == 0o755  # others still read it: a node's directory is closed to them


def test_settings_without_keys_are_no_node_and_no_free_place(tmp_path: Path) -> None:
    home = Home(tmp_path / "node")
    home.create(Config(name="a"))
    with pytest.raises(LocalError, match=r"delete .*config") as caught:
        home.create(Config(name="b"))
    assert caught.value.code == "NODE_EXISTS"
    home.keys.mkdir()
    with pytest.raises(LocalError, match="run it"):
        home.require_free()


def test_no_node_is_said_so(tmp_path: Path) -> None:
    for act in (Home(tmp_path / "absent").config, Home(tmp_path / "absent").lock):
        with pytest.raises(LocalError, match="maille node init"):
            act()


def test_what_lies_beside_the_meshes_is_no_mesh(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for name in ("good/ledger", ".young.partial/ledger", "empty", "Bad/ledger"):
        (home.meshes / name).mkdir(parents=True)
    assert home.mesh_names() == ["good"]


def test_a_second_holder_is_refused_and_named(tmp_path: Path) -> None:
    with Home(tmp_path).lock(), pytest.raises(LocalError, match=str(os.getpid())) as caught:
        Lock(tmp_path)
    assert caught.value.code == "NODE_RUNNING"
    Lock(tmp_path).release()


def test_the_system_frees_a_lock_whose_holder_was_killed(tmp_path: Path) -> None:
    script = "import sys; from pathlib import Path; from node.config import Lock; lock = Lock(Path(sys.argv[1])); "
    script += "print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LocalError, match=str(holder.pid)):
            Lock(tmp_path)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        Lock(tmp_path).release()
