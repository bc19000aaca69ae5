"""`maille audit` over a real control socket: forms, exit codes, periods, progress for terminals alone."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from ledger.errors import LocalError
from node import exits
from node.cli.app import run
from node.ops import audit as audits
from node.ops.audit import period_of
from proofs.policy import MemberQuorum
from proofs.reasons import Reason
from proofs.trust import Trust
from proofs.verify import verify
from tests.node.nodes import do, make_home, running, until
from tests.node.test_data_operations import PERIOD, WHAT, pair, state_of

DAY = 86_400
NOW = 1_800_000_000


@pytest.mark.covers("R99")
async def test_a_consented_transfer_and_one_without(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with (
        running(make_home(tmp_path / "ada", "ada")) as ada,
        running(make_home(tmp_path / "bob", "bob"), serve=True) as bob,
    ):
        await pair(ada, bob)
        await do(ada, "readings generate", seed=7, days=3)
        (series,) = (await do(ada, "readings list")).series
        await do(ada, "wallet create", name="anna")
        args = {"wallet": "anna", "recipient": "bob", "point": (series.point,), **WHAT, **PERIOD}
        made = await do(ada, "consent grant", **args)
        await until(lambda: state_of(bob, made.id) == "GRANTED")
        assert (await do(ada, "data send", consent=made.id)).state == "done"

        file = tmp_path / "audit"

        async def maille(*words: str) -> tuple[int, str]:
            """Run an audit at bob's; return the exit code and the file, or what was said where there is none."""
            file.unlink(missing_ok=True)
            argv = ["audit", "run", "--period", "2020-01-01..", "--data-dir", str(tmp_path / "bob")]
            code = await trio.to_thread.run_sync(run, [*argv, "--output", str(file), *words])
            return code, file.read_text("utf-8") if file.exists() else capsys.readouterr().err

        code, text = await maille()
        assert code == exits.OK
        told = capsys.readouterr()
        assert "transfers        1\n" in told.out
        assert told.err == ""
        assert os.stat(file).st_mode & 0o777 == 0o600
        (access,) = json.loads(text)["consented"]
        assert (access["consent"], access["verdict"]) == (made.id, "consented")
        assert access["points"] == [series.point]

        code, text = await maille("--as", "html", "--language", "fr")
        assert (code, text[:34]) == (exits.OK, '<!DOCTYPE html>\n<html lang="fr"><h')
        assert series.point in text

        await do(bob, "tick run")
        await with_proofs(maille, tmp_path, bob.mesh().core.replica.mesh_id)
        capsys.readouterr()
        code, text = await maille("--party", "ada", "--as", "csv")
        (row, *_) = csv.DictReader(io.StringIO(text))
        assert (row["section"], row["holder"].split()[0]) == ("consented", "ada")
        for nobody in ("--point", "--purpose", "--subject"):
            code, text = await maille(nobody, "00ff")
            assert (code, json.loads(text)["counts"]["transfers"]) == (exits.OK, 0)
        code, text = await maille("--party", "nobody")
        assert (code, "NOT_FOUND" in text) == (exits.NOT_FOUND, True)

        forget(bob, made.id)
        code, text = await maille()
        assert code == exits.REFUSED
        assert [one["code"] for one in json.loads(text)["without_consent"]] == ["UNREGISTERED"]


async def with_proofs(maille: Callable[..., Awaitable[tuple[int, str]]], path: Path, genesis: bytes) -> None:
    """Have a page made with the proofs beside it, and verify each; a folder is made anew, and for pages alone."""
    folder = path / "the proofs"
    code, text = await maille("--as", "html", "--proofs", str(folder))
    assert code == exits.OK, text
    files = {each.name for each in folder.iterdir()}
    hrefs = re.findall(r'<a href="the%20proofs/([^"]+)">', text)
    assert set(hrefs) == files
    assert len(hrefs) == 2, "the transfer, and the line of the register"
    assert "2 of 2 lines link to theirs" in text
    for name in files:
        report = verify((folder / name).read_bytes(), Trust(genesis, MemberQuorum(1), None, DAY), now())
        assert report.reason in (Reason.ACTIVE, Reason.TRY_LATER, Reason.NO_POE), report.as_text()
    code, text = await maille("--as", "html", "--proofs", str(folder))
    assert (code, "FOLDER_TAKEN" in text) == (exits.REFUSED, True)
    code, text = await maille("--proofs", str(path / "others"))
    assert (code, "--as html" in text) == (exits.USAGE, True)
    assert not (path / "others").exists()


def now() -> int:
    """Return the time on this machine, unix seconds."""
    return int(time.time())


def forget(node: Any, grant: str) -> None:
    """Make every account of a node name a consent that there is not."""
    from dataclasses import replace

    mesh = node.mesh()
    with mesh.vault.write() as vault:
        for role in (b"a", b"r"):
            for one in list(mesh.flows.receipts.listing(vault, role)):
                assert one.grant.hex() == grant
                mesh.flows.receipts.put(vault, replace(one, grant=b"?" * 32))


@pytest.mark.parametrize(
    ("text", "since", "until_"),
    [
        ("2027-01-01..2027-01-31", 1_798_761_600, 1_801_440_000),
        ("2027-01-01..2027-01-01", 1_798_761_600, 1_798_848_000),
        ("2027-01-01T00:00:10Z..2027-01-01T00:00:20Z", 1_798_761_610, 1_798_761_620),
        ("2027-01-01T01:00:00+01:00..2027-01-01T01:00:00", 1_798_761_600, 1_798_765_200),
        ("2027-01-01..", 1_798_761_600, NOW + 1),
        ("..2027-01-01", 0, 1_798_848_000),
        ("..", 0, NOW + 1),
    ],
)
def test_periods(text: str, since: int, until_: int) -> None:
    assert period_of(text, NOW) == (since, until_)


@pytest.mark.parametrize(
    "text", ["", "2027-01-01", "a..b", "2027-02-01..2027-01-01", "2027-13-01..", "2027-01-01...", "1..2"]
)
def test_what_is_no_period(text: str) -> None:
    with pytest.raises(LocalError) as caught:
        period_of(text, NOW)
    assert caught.value.code == "USAGE"
    assert caught.value.field == "period"


@pytest.mark.parametrize("form", ["pdf", "parquet"])
def test_a_form_without_its_library_is_refused_before_anything_is_read(
    form: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    code = run(
        ["audit", "run", "--period", "..", "--as", form, "--to", str(tmp_path / "x"), "--data-dir", str(tmp_path)]
    )
    assert code == exits.REFUSED
    told = capsys.readouterr().err
    assert "pip install 'maille[audit]'" in told
    assert "EXTRA_MISSING" in told


def test_progress_is_for_a_terminal() -> None:
    told: list[str] = []
    shown: Callable[[str, int, int], None] = audits._progress(True, told.append)
    for done in range(0, 100_001, 1_000):
        shown("{} of {} transfers matched", done, 100_000)
    assert len(told) == 10
    assert told[-1] == "100000 of 100000 transfers matched"
    quiet: list[str] = []
    audits._progress(False, quiet.append)("{} of {} transfers matched", 5, 5)
    assert quiet == []


async def test_a_page_of_rows_is_for_whoever_audits_otherwise(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada:
        await do(ada, "mesh create", name="street")
        found = await do(ada, "audit rows")
        assert json.loads(found.rows)["frame"]["staleness"] == 600
        assert found.next == ""
        with pytest.raises(LocalError) as caught:
            await do(ada, "audit rows", what="consents", cursor="zz")
        assert caught.value.code == "USAGE"
