"""Aggregates and pseudonyms by their operations, on whole nodes."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ledger.errors import LocalError, MailleError
from node.operations import find
from storage.vault import PSEUDONYMS
from tests.node.nodes import do, make_home, running
from tests.node.test_data_operations import pair

PEOPLE = 14


async def street(node: Any) -> tuple[list[str], dict[str, Any]]:
    """Have a node hold three days of many homes; return the points, and a window of one day inside."""
    for seed in range(1, PEOPLE + 1):
        await do(node, "readings generate", seed=seed, days=3)
    lines = (await do(node, "readings list")).series
    day = (lines[0].first + timedelta(days=1)).astimezone(UTC).replace(hour=0, minute=0)
    return [line.point for line in lines], {"since": day, "until": day + timedelta(days=1)}


def groups(points: list[str], first: int) -> bytes:
    """Return a file of two groups; each point is of a person of her own."""
    rows = [f"{'north' if n < first else 'south'},{point},person {n}" for n, point in enumerate(points)]
    return "\n".join(["group,point,holder", *rows]).encode()


@pytest.mark.covers("R108", "R109", "R113", "system:LINC / CABANON")
async def test_a_street_is_published_once_and_every_later_table_is_held_against_it(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada:
        await do(ada, "mesh create", name="street")
        points, day = await street(ada)
        with pytest.raises(LocalError) as caught:
            await do(ada, "aggregate release", **day)
        assert caught.value.code == "HOLDER_UNKNOWN"

        whole = {"each_its_own": True, "granularity": "PT60M", **day}
        tried = await do(ada, "aggregate release", dry_run=True, **whole)
        assert (tried.release, tried.released, {line.value for line in tried.lines}) == ("", 25, {""})
        done = await do(ada, "aggregate release", name="our street", **whole)
        assert (done.label, done.released, done.kept_back) == ("aggregated, threshold-checked", 25, 0)
        (row,) = (await do(ada, "aggregate list")).releases
        assert (row.release, row.released, row.name) == (done.release, 25, "our street")

        less = await do(ada, "aggregate release", point=tuple(points[:-1]), each_its_own=True, **day)
        assert (less.release, [line.code for line in less.lines]) == ("", ["EARLIER_RELEASE"])
        assert find("aggregate", "release").exit_of(less) == 1  # type: ignore[union-attr]
        bare = await do(ada, "aggregate release", no_margins=True, **(whole | {"dry_run": True}))
        assert bare.released == 24
        few = await do(ada, "aggregate release", point=tuple(points[:8]), each_its_own=True, **day)
        assert [(line.code, line.missing) for line in few.lines] == [("FEW_HOLDERS", 3)]
        assert len((await do(ada, "aggregate list")).releases) == 1

        text = (await do(ada, "aggregate export", release=done.release[:8])).file.decode()
        assert "fictitious readings" in text
        rows = list(csv.DictReader(io.StringIO("\n".join(line for line in text.splitlines() if line[0] != "#"))))
        assert len(rows) == 25
        told = json.loads((await do(ada, "aggregate export", release=done.release[:8], format="json")).file)
        assert [line["value"] for line in told["lines"]] == [row["value"] for row in rows]
        assert not any(point in text for point in points)
        checked = await do(ada, "aggregate check", release=done.release)
        assert checked.report == done.report
        assert {line.test for line in checked.report} == {"singling out", "linkability", "inference", "not tested"}
        assert ("Fewest people in a published figure", str(PEOPLE)) in {
            (line.question, line.found) for line in checked.report
        }


async def test_groups_from_a_file_and_releases_that_outlive_a_restart(tmp_path: Path) -> None:
    home = make_home(tmp_path / "ada", "ada")
    async with running(home) as ada:
        await do(ada, "mesh create", name="street")
        points, day = await street(ada)
        done = await do(ada, "aggregate release", groups=groups(points, 11), granularity="P1D", **day)
        told = {line.group: line.code for line in done.lines}
        assert told == {"north": "SECONDARY", "south": "FEW_HOLDERS", "": "RELEASED"}
        assert next(line.missing for line in done.lines if line.group == "south") == 8
    async with running(home) as ada:
        again = await do(ada, "aggregate release", groups=groups(points, 10), granularity="P1D", **day)
        assert {line.code for line in again.lines if line.group} == {"FEW_HOLDERS"}
        assert next(line.code for line in again.lines if not line.group) == "RELEASED"  # it is known already
        north = groups(points, 11).split(b"\nnorth", 1)[1].split(b"\nsouth")[0]
        alone = await do(ada, "aggregate release", groups=b"north" + north, granularity="P1D", **day)
        assert [line.code for line in alone.lines] == ["EARLIER_RELEASE"]
        one_owner = "\n".join(f"all,{point},the same" for point in points).encode()
        owned = await do(ada, "aggregate release", groups=one_owner, **day)
        assert [(line.code, line.missing) for line in owned.lines] == [("FEW_HOLDERS", 10)]
        with pytest.raises(MailleError, match="one line"):
            await do(ada, "aggregate release", name="a\n=1+1", each_its_own=True, **day)
        with pytest.raises(LocalError) as caught:
            await do(ada, "aggregate release", profile="lax", each_its_own=True, **day)
        assert caught.value.code == "NO_SUCH_PROFILE"


async def test_people_who_share_a_point_in_the_register_count_as_one(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada:
        await do(ada, "mesh create", name="street")
        points, day = await street(ada)
        asked = {"point": tuple(points[:12]), "each_its_own": True, "dry_run": True, **day}
        assert (await do(ada, "aggregate release", **asked)).released == 1
        await do(ada, "point add", point=points[0], person="anna")
        await do(ada, "point add", point=points[1], person="bob")
        await do(ada, "point add", point=points[2], person="bob", role="household_member")
        assert (await do(ada, "aggregate release", **asked)).released == 1  # anna; bob, twice; nine others: eleven
        await do(ada, "point add", point=points[2], person="anna")  # who now meet there
        few = await do(ada, "aggregate release", **asked)
        assert [(line.code, line.missing) for line in few.lines] == [("FEW_HOLDERS", 1)]
        gone = {"since": day["since"] + timedelta(days=400), "until": day["until"] + timedelta(days=400)}
        empty = await do(ada, "aggregate release", **(asked | gone))
        assert [line.code for line in empty.lines] == ["EMPTY"]


@pytest.mark.parametrize(
    "data",
    [b"\xff\xfe", b"north", b"=1+1,prm:1,x", b"a,b,c,d", b"a,prm:1\na,prm:1", b"group,point\n", b"a,nowhere"],
)
async def test_a_malformed_file_of_groups_is_refused_with_its_line(tmp_path: Path, data: bytes) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada:
        await do(ada, "mesh create", name="street")
        day = datetime(2026, 1, 1, tzinfo=UTC)
        with pytest.raises(LocalError) as caught:
            await do(ada, "aggregate release", groups=data, since=day, until=day + timedelta(days=1))
        assert caught.value.code == "BAD_GROUPS"


@pytest.mark.covers("R105", "R106", "R114")
async def test_pseudonyms_are_random_per_recipient_and_their_table_stays(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        for seed in (1, 2):
            await do(ada, "readings generate", seed=seed, days=2)
        points = [line.point for line in (await do(ada, "readings list")).series]
        plain = await do(ada, "readings export", point=points[0])
        assert plain.label == "identified"
        first = await do(ada, "pseudonym export", recipient="bob")
        assert (first.label, first.points) == ("pseudonymised", 2)
        assert not any(point.partition(":")[2] in first.file.decode() for point in points)
        assert (await do(ada, "pseudonym export", recipient="bob")).file == first.file
        rows = (await do(ada, "pseudonym list", recipient="bob")).pseudonyms
        assert sorted(row.point for row in rows) == sorted(points)
        assert all(row.pseudonym in first.file.decode() for row in rows)
        own = await do(ada, "pseudonym export", recipient="ada", point=(points[0],))
        assert own.points == 1
        assert not any(row.pseudonym in own.file.decode() for row in rows)  # another recipient, another id

        assert (await do(ada, "pseudonym erase", recipient="bob")).erased == 2
        assert (await do(ada, "pseudonym list", recipient="bob")).pseudonyms == ()
        assert len((await do(ada, "pseudonym list", recipient="ada")).pseudonyms) == 1
        later = (await do(ada, "pseudonym export", recipient="bob")).file.decode()
        assert not any(row.pseudonym in later for row in rows)
        mesh = ada.mesh()
        with mesh.vault_store.read() as stored:
            raw = b"".join(key + value for key, value in stored.scan(PSEUDONYMS, b""))
        assert not any(point.encode() in raw or bytes.fromhex(row.pseudonym) in raw for point in points for row in rows)
        with pytest.raises(MailleError) as caught:
            await do(ada, "pseudonym export", recipient="bob", point=("prm:99999999999999",))
        assert caught.value.code == "NOT_FOUND"
