"""Importing files of every format through the operation, on a whole node: found by content, refused whole, counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from ledger.errors import LocalError, MailleError, RemoteError
from node.adapters import registry
from node.cli import app
from node.operations import find
from tests.node.adapters.test_archive import CURVES, packed
from tests.node.adapters.test_enedis_layouts import ROWS, curve
from tests.node.adapters.test_enedis_services import M1, M2, R4Q, R4Q_CURVE, R4Q_POINTS, declared, sge
from tests.node.nodes import do, make_home, running
from tests.shared import shared


async def test_files_are_found_by_their_content_and_counted(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada:
        await do(ada, "mesh create", name="street")
        zipped = await do(ada, "readings import", file=packed(*CURVES))
        assert (zipped.new, zipped.same, len(zipped.series)) == (9, 0, 3)
        twice = await do(ada, "readings import", file=curve("12345678900000", *ROWS, ROWS[-1]).encode())
        assert (twice.new, twice.same) == (0, 4)

        curves = "".join(R4Q_CURVE.format("kW", "CONS", kind, R4Q_POINTS) for kind in ("EA", "ERI"))
        flow = await do(ada, "readings import", file=R4Q.format(curves).encode())
        assert (flow.new, [(one.what, one.records) for one in flow.left_out]) == (2, [("reactive power", 2)])

        gas = shared("data/grdf/pygazpar_daily.json").read_bytes()
        with pytest.raises(RemoteError, match="--point"):
            await do(ada, "readings import", file=gas)
        assert (await do(ada, "readings import", file=gas, point="pce:00000000000000")).new == 711 + 711 + 712

        answer = sge(M1, M2, point="99999999999999")
        with pytest.raises(RemoteError, match="does not agree"):
            await do(ada, "readings import", file=answer, declaration=declared(accord="false", point="99999999999999"))
        accepted = declared(point="99999999999999")
        assert (await do(ada, "readings import", file=answer, declaration=accepted)).new == 2


async def test_a_refusal_keeps_nothing_of_the_file(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada:
        await do(ada, "mesh create", name="street")
        with pytest.raises(RemoteError):
            await do(ada, "readings import", file=packed(*CURVES[:2], ("p2.csv", b"Date;Valeur (en Wh)\n")))
        assert (await do(ada, "readings list")).series == ()
        await do(ada, "readings import", file=CURVES[1][1])
        with pytest.raises(LocalError) as error:
            await do(
                ada,
                "readings import",
                file=packed(CURVES[0], ("p1.csv", CURVES[1][1].replace(b"+01:00;3", b"+01:00;4"))),
            )
        assert error.value.code == "READINGS_CONFLICT"
        assert [one.point for one in (await do(ada, "readings list")).series] == ["prm:12345678900001"]


@pytest.mark.parametrize("words", ["readings import", "readings export"])
async def test_a_format_that_is_none_is_refused(tmp_path: Path, words: str) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada:
        await do(ada, "mesh create", name="street")
        args = {"file": b"x"} if words.endswith("import") else {"point": "prm:12345678901234"}
        with pytest.raises(MailleError) as error:
            await do(ada, words, format="xlsx", **args)
        assert error.value.code == "UNKNOWN_FORMAT"


def test_every_format_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    operation = find("readings", "formats")
    assert operation is not None
    listed = operation.handler(None, operation.args()).formats
    assert [one.name for one in listed] == [one.name for one in registry.adapters()]
    assert app.run(["readings", "formats"]) == 0
    assert "enedis-csv" in capsys.readouterr().out
