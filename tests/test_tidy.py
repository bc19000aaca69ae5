"""The project keeps its own rules: layers, purity, sizes, docstrings, names. Each rule is in `tests/tidy.py`.

Every check runs over the whole project, and over a small bad sample which it must refuse: a check that cannot
fail is not a check. Where a rule has to give way, the exception stands in a table here, with its reason.
"""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests import tidy
from tests.shared import shared

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = tuple(tidy.MAY_IMPORT)

LONGER: dict[str, tuple[int, str]] = {}
"""What may be longer than the rest: "path" or "path::function" to (lines it stays below, the reason)."""


def _text_files() -> dict[str, str]:
    """Return the text of every file which is in the repository, or would be at the next `git add`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    texts = {}
    for name in sorted(set(listed.stdout.split("\0")) - {""}):
        if (ROOT / name).is_file():
            data = (ROOT / name).read_bytes()
            if b"\0" not in data:
                texts[name] = data.decode("utf-8", errors="replace")
    return texts


TEXTS = _text_files()
MODULES = {
    path: (text, ast.parse(text, path))
    for path, text in TEXTS.items()
    if path.endswith(".py") and path.startswith(tuple(f"{top}/" for top in (*PACKAGES, "tests")))
}
CODE = {path: both for path, both in MODULES.items() if not path.startswith("tests/")}


def check_none(faults: list[str]) -> None:
    """Fail with every fault on a line of its own."""
    assert not faults, "\n" + "\n".join(faults)


def test_the_project_is_found() -> None:
    assert {path.split("/", maxsplit=1)[0] for path in CODE} == set(PACKAGES)
    assert "tests/test_tidy.py" in MODULES
    assert "README.md" in TEXTS


def test_layers() -> None:
    check_none([fault for path, (_, tree) in MODULES.items() for fault in tidy.layer_faults(path, tree)])


def test_cores_are_pure() -> None:
    check_none([fault for path, (_, tree) in CODE.items() for fault in tidy.purity_faults(path, tree)])


def test_docstrings() -> None:
    check_none([fault for path, (text, tree) in MODULES.items() for fault in tidy.docstring_faults(path, text, tree)])


def test_sizes() -> None:
    check_none(
        [fault for path, (text, tree) in MODULES.items() for fault in tidy.size_faults(path, text, tree, LONGER)]
    )


def test_exceptions_for_size_are_still_needed() -> None:
    needed = {
        fault.split(": ", maxsplit=1)[0]
        for path, (text, tree) in MODULES.items()
        for fault in tidy.size_faults(path, text, tree, {})
    }
    assert set(LONGER) <= needed
    assert all(reason for _, reason in LONGER.values())


def test_nothing_is_left_over() -> None:
    check_none([fault for path, (text, _) in MODULES.items() for fault in tidy.leftover_faults(path, text)])


def test_module_names() -> None:
    check_none([fault for path in MODULES for fault in tidy.name_faults(path)])


def test_no_path_of_a_machine() -> None:
    check_none([fault for path, text in TEXTS.items() for fault in tidy.machine_path_faults(path, text)])


def test_every_test_can_fail() -> None:
    tests = {path: tree for path, (_, tree) in MODULES.items() if path.startswith("tests/")}
    check_none([fault for path, tree in tests.items() for fault in tidy.toothless_faults(path, tree)])


def test_the_wheel_holds_the_packages_and_types() -> None:
    project = tomllib.loads(TEXTS["pyproject.toml"])
    assert set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == set(PACKAGES)
    assert all((ROOT / package / "py.typed").is_file() for package in PACKAGES)


@pytest.mark.covers("R154")
def test_the_lock_holds_every_dependency_with_hashes() -> None:
    project = tomllib.loads(TEXTS["pyproject.toml"])["project"]
    wanted = [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
    ]
    names = {re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower() for requirement in wanted} - {project["name"]}
    lock = re.sub(r"^#.*\n", "", TEXTS["requirements.lock"], flags=re.MULTILINE)
    pins = re.split(r"\n(?! )", lock.strip())
    faults = [pin for pin in pins if not re.match(r"[\w.-]+==[^\n]+(\n {4}--hash=sha256:[0-9a-f]{64}[ \\]*)+$", pin)]
    check_none(faults)
    assert names <= {pin.split("==")[0] for pin in pins}
    assert "://" not in lock


def parse(text: str) -> ast.Module:
    return ast.parse(text)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("ledger/a.py", "import storage"),
        ("ledger/a.py", "def f():\n    from node import engine"),
        ("gossip/a.py", "from proofs.bundle import x"),
        ("gossip/a.py", "import importlib\nimportlib.import_module('storage.disk')"),
        ("storage/a.py", "from .. import gossip\nimport gossip.swarm"),
        ("storage/a.py", "import trio"),
        ("node/a.py", "import tests.shared"),
        ("node/engine.py", "def f():\n    import simulations"),
        ("node/ops/sim.py", "import simulations"),
    ],
)
def test_layer_faults_are_found(path: str, text: str) -> None:
    assert tidy.layer_faults(path, parse(text))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("ledger/a.py", "from ledger import b\nfrom . import c\nimport hashlib"),
        ("proofs/a.py", "import ledger.entry"),
        ("node/a.py", "import trio, ledger, storage, proofs, gossip"),
        ("node/ops/sim.py", "def f():\n    import simulations.world"),
        ("simulations/a.py", "import node.engine, trio"),
        ("tests/gossip/a.py", "import storage, proofs, trio"),
    ],
)
def test_imports_along_the_layers_pass(path: str, text: str) -> None:
    assert not tidy.layer_faults(path, parse(text))


@pytest.mark.parametrize(
    "text",
    [
        *(f"import {name}" for name in ("os", "socket", "lmdb", "pathlib", "time", "threading", "asyncio")),
        *(f"import {name}" for name in ("subprocess", "secrets", "trio", "nacl.utils", "urllib.request")),
        "from os import urandom",
        "def f():\n    import time",
        "import random\nrandom.random()",
        "from random import randbytes",
        "import random\nr = random.Random()",
        "import random\nr = random.SystemRandom()",
        "from datetime import datetime\ndatetime.now()",
        "import datetime\ndatetime.datetime.utcnow()",
        "from datetime import date\ndate.today()",
        "from nacl import utils",
        "from nacl.public import SealedBox",
        "from nacl.signing import SigningKey\nSigningKey.generate()",
        "import nacl.signing\nnacl.signing.SigningKey.generate()",
        "from nacl import bindings\nbindings.crypto_box_keypair()",
        "open('x')",
        "print('x')",
    ],
)
def test_impurities_are_found(text: str) -> None:
    assert tidy.purity_faults("gossip/a.py", parse(text))
    assert not tidy.purity_faults("node/a.py", parse(text))


def test_pure_code_passes() -> None:
    text = """
import random
from datetime import datetime
from random import Random
import hashlib
from nacl.bindings import crypto_sign_open
def f(rng: random.Random, now: int, other: Random) -> int:
    datetime.fromtimestamp(now)
    return random.Random(now).getrandbits(8) + rng.randrange(4)
"""
    assert not tidy.purity_faults("ledger/a.py", parse(text))


@pytest.mark.parametrize(
    "text",
    [
        "x = 1",
        '"""maille: gossip."""',
        '"""One line for a module that is long."""\n' + "x = 1\n" * 60,
        '"""A module with a docstring."""\ndef f(): ...',
        '"""A module with a docstring."""\nclass A: ...',
        '"""A module with a docstring."""\nclass A:\n    """One."""\n    async def f(self): ...',
    ],
)
def test_missing_docstrings_are_found(text: str) -> None:
    assert len(tidy.docstring_faults("node/a.py", text, parse(text))) == 1


def test_docstrings_where_they_are_due_pass() -> None:
    text = '"""A module with a docstring."""\nclass A:\n    """One."""\n    def _f(self): ...\n'
    text += "    def __len__(self): ...\n"
    assert not tidy.docstring_faults("node/a.py", text, parse(text))


def test_sizes_are_measured_without_docstrings() -> None:
    body = "    x = 1\n" * (tidy.FUNCTION_LINES_MAX - 2)
    fits = f'def f():\n    """{"line" * 9}\n\n\n    """\n{body}'
    assert not tidy.size_faults("node/a.py", fits, parse(fits), {})
    long = fits + "    x = 2\n"
    assert tidy.size_faults("node/a.py", long, parse(long), {}) == ["node/a.py::f: 70 lines; keep below 70"]
    assert not tidy.size_faults("node/a.py", long, parse(long), {"node/a.py::f": (71, "a table")})
    module = "x = 1\n" * tidy.MODULE_LINES_MAX
    assert tidy.size_faults("node/a.py", module, parse(module), {})
    assert not tidy.size_faults("node/a.py", module[6:], parse(module[6:]), {})


@pytest.mark.parametrize(
    "comment",
    ["TO" + "DO: later", "XX" + "X", "import os", "if x:", "return f(x)", "def f():", "for a in b:"],
)
def test_leftovers_are_found(comment: str) -> None:
    assert tidy.leftover_faults("node/a.py", f"x = 1  # {comment}\n")


@pytest.mark.parametrize("comment", ["return early", "size = a + b", "H(leaf)", "if the peer is away:", "x"])
def test_comments_pass(comment: str) -> None:
    assert not tidy.leftover_faults("node/a.py", f"x = 1  # {comment}\n")


def test_empty_names_are_found() -> None:
    assert tidy.name_faults("node/utils.py")
    assert tidy.name_faults("node/common/keys.py")
    assert not tidy.name_faults("node/keystore.py")


def test_paths_of_a_machine_are_found() -> None:
    for path in ("/" + "work/x", "see /" + "root", "'/" + "home/anna'"):
        assert tidy.machine_path_faults("a.md", f"one\n{path}\n") == [f"a.md:2: the path of a machine: {path}"]
    for text in ("network/work", "members/root", "/rooted", "/workers", "a/home/b", "../work"):
        assert not tidy.machine_path_faults("a.md", text)


def test_toothless_tests_are_found() -> None:
    assert tidy.toothless_faults("tests/a.py", parse("def test_a():\n    f()"))
    assert tidy.toothless_faults("tests/a.py", parse("class T:\n    async def test_a(self): pass"))
    indirect = "def refused(): assert x\ndef both(): refused()\ndef test_a(): both()"
    assert not tidy.toothless_faults("tests/a.py", parse(indirect))
    assert tidy.toothless_faults("tests/a.py", parse(indirect.replace("assert x", "x")))
    for body in ("assert x", "check_it()", "world().assert_same()", "with pytest.raises(E): f()"):
        assert not tidy.toothless_faults("tests/a.py", parse(f"def test_a():\n    {body}"))


def test_missing_shared_material_skips_and_is_named() -> None:
    with pytest.raises(pytest.skip.Exception, match=r"\.\./shared/absent\.json"):
        shared("absent.json")
