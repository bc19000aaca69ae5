"""Consents after they were given, delegations and groups by their operations, on whole nodes over real sockets."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from ledger.consent.disclosure import Evidence
from ledger.errors import MailleError
from tests.node.flows.world import SHORT
from tests.node.nodes import do, make_home, running
from tests.node.test_data_operations import PERIOD, WHAT, pair

POINT, OTHER = "prm:12345678901234", "prm:12345678901235"


async def until(look: Any, wanted: Any) -> Any:
    """Wait until what is looked at is as wanted."""
    with trio.fail_after(20):
        while not wanted(found := await look()):
            await trio.sleep(0.05)
    return found


async def refused(code: str, node: Any, name: str, **args: Any) -> None:
    with pytest.raises(MailleError) as error:
        await do(node, name, **args)
    assert error.value.code == code


@pytest.mark.covers("R49", "R5")
async def test_a_consent_is_narrowed_and_handed_on(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        for name in ("anna", "anna's new one"):
            await do(ada, "wallet create", name=name)
        args = {"recipient": "bob", "point": (POINT, OTHER), "granularity": "PT30M", **WHAT, **PERIOD}
        made = await do(ada, "consent grant", wallet="anna", **args)
        await refused("AMENDMENT_WIDER", ada, "consent amend", id=made.id, granularity="PT10M")
        await refused("USAGE", ada, "consent amend", id=made.id)
        await refused("NOT_REQUIRED", ada, "consent sign", id=made.id)
        narrowed = await do(ada, "consent amend", id=made.id, point=(POINT,))
        assert narrowed.state == "narrowed"
        assert (await do(ada, "explain", id=narrowed.entry)).rule == "C6"
        handed = await do(ada, "consent rekey", id=made.id, to="anna's new one", host="ada")
        assert (await do(ada, "explain", id=handed.entry)).rule == "C7"
        await do(ada, "consent amend", id=made.id, granularity="P1D")  # by the new key
        await do(bob, "wallet create", name="elsewhere")
        to = await do(bob, "consent take-on", id=made.id, wallet="elsewhere")
        assert to.host == "bob"
        await refused("USAGE", ada, "consent rekey", id=made.id)
        await refused("BAD_HEIR", ada, "consent rekey", id=made.id, heir=to.heir[:-2])
        await do(ada, "consent rekey", id=made.id, heir=to.heir)
        listed = await until(
            lambda: do(bob, "consent list", wallet="elsewhere"), lambda found: len(found.consents) == 1
        )
        assert listed.consents[0].id == made.id
        assert (await do(ada, "consent list", wallet="anna's new one")).consents == ()
        words = (await do(ada, "wallet words", name="anna")).words
        own = await do(ada, "consent take-on", id=made.id, seed=" ".join(words))
        assert (own.host, own.heir.startswith("heir1.")) == ("", True)
        taken = await do(bob, "wallet import", name="hers", seed=" ".join(words))
        await until(lambda: do(bob, "consent show", id=made.id), lambda shown: shown.line.state == "active")
        assert taken.consents in (0, 1)
        await do(ada, "consent withdraw", id=made.id)
        await until(lambda: do(bob, "consent show", id=made.id), lambda shown: shown.line.state == "withdrawn")


@pytest.mark.covers("R66", "R88")
async def test_what_was_received_is_passed_on_until_the_first_consent_ends(tmp_path: Path) -> None:
    homes = [make_home(tmp_path / name, name) for name in ("ada", "bob", "cyd")]
    async with running(homes[0]) as ada, running(homes[1]) as bob, running(homes[2]) as cyd:
        await pair(ada, bob)
        await pair_up(bob, cyd)
        mesh = ada.mesh()
        await mesh.engine.act(lambda turn: mesh.flows.series.add(turn.vault, SHORT))
        await do(ada, "wallet create", name="anna")
        sharing = json.dumps({"onward_sharing": {"mode": "depth", "depth": 1}}).encode()
        args = {
            "recipient": "bob",
            "point": (SHORT.key.point,),
            "granularity": "PT30M",
            "terms": sharing,
            **WHAT,
            **PERIOD,
        }
        made = await do(ada, "consent grant", wallet="anna", **args)
        assert (await do(ada, "data send", consent=made.id)).state == "done"
        passed = await do(bob, "consent pass-on", id=made.id, recipient="cyd", contact="dpo@cyd.example")
        assert any("cyd" in sentence for sentence in passed.words)
        await until(lambda: do(cyd, "consent list"), lambda found: [one.id for one in found.consents] == [passed.id])
        sent = await do(bob, "data send", consent=passed.id)
        assert (sent.state, sent.reason) == ("done", "")
        received = await do(cyd, "data export", consent=passed.id, format="senml")
        assert received.records == sent.records > 0
        await refused(
            "SHARING_FORBIDDEN", cyd, "consent pass-on", id=passed.id, recipient="ada", contact="x@ada.example"
        )
        await do(cyd, "consent withdraw", slip=made.slip)
        await until(lambda: do(bob, "consent show", id=made.id), lambda shown: shown.line.state == "withdrawn")
        for node in (bob, cyd):
            await until(
                lambda node=node: do(node, "consent show", id=passed.id),
                lambda shown: shown.line.state == "parent_ended",
            )
        (line,) = (await do(cyd, "consent list")).consents
        assert (line.id, line.state) == (passed.id, "parent_ended")
        (ended,) = [one for one in (await do(cyd, "changes list")).changes if one.kind == "consent.ended"]
        assert (ended.consent, ended.state, ended.reason) == (passed.id, "parent_ended", "PARENT_ENDED")
        stopped = await do(bob, "data send", consent=passed.id)
        assert (stopped.state, stopped.reason) == ("refused", "PARENT_ENDED")
        asked = await do(cyd, "data request", consent=passed.id)
        assert (asked.state, asked.reason) == ("refused", "PARENT_ENDED")


async def pair_up(host: Any, newcomer: Any) -> None:
    """Let another node in, and put up the link between the two."""
    ticket = await do(host, "invite create", to=str(newcomer.root_key().did))
    assert (await do(newcomer, "join", ticket=ticket.ticket)).answer == "ADMITTED"
    party = newcomer.mesh().core.party
    for node in (host, newcomer):
        await until(lambda node=node: _members(node), lambda known: known.is_member(party))
    await do(host, "link offer", member=newcomer.config.name)
    await until(lambda: _links(newcomer), lambda links: "offered" in links)
    await do(newcomer, "link accept", member=host.config.name)
    await until(lambda: _links(host), lambda links: list(links).count("up") == 2)


async def _members(node: Any) -> Any:
    return node.mesh().core.replica.members


async def _links(node: Any) -> list[str]:
    return list(node.mesh().core.replica.members.links.values())


@pytest.mark.covers("R52", "R63")
async def test_a_consent_that_needs_others_waits_for_them(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        names = ("anna", "pmo", "grid")
        for name in names:
            await do(ada, "wallet create", name=name)
        keys = {name: (await do(ada, "delegation key", wallet=name)).key for name in names[1:]}
        args = {"recipient": "bob", "point": (POINT,), "granularity": "PT30M", **WHAT, **PERIOD}
        require = tuple(keys.values())
        for quorum in (0, 3):
            await refused("USAGE", ada, "consent grant", wallet="anna", require=require, quorum=quorum, **args)
        made = await do(ada, "consent grant", wallet="anna", require=require, **args)
        state = "incomplete"
        for name in keys:
            assert (await do(ada, "consent show", id=made.id)).line.state == state
            signed = await do(ada, "consent sign", id=made.id, wallet=name)
            state = signed.state
        assert state == "granted"
        one = await do(ada, "consent grant", wallet="anna", require=require, quorum=1, **args)
        assert (await do(ada, "consent sign", id=one.id, wallet="grid")).state == "granted"


@pytest.mark.covers("R51", "R62", "R147")
async def test_a_transcribed_paper_is_kept_and_must_be_checked(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        await do(ada, "wallet create", name="anna")
        args = {"recipient": "bob", "point": (POINT,), "granularity": "PT30M", **WHAT, **PERIOD}
        made = await do(ada, "consent grant", wallet="anna", paper=b"%PDF-1.7 signed", **args)
        mesh = ada.mesh()
        grant = await mesh.engine.read(lambda turn: turn.core.replica.grant(turn.rows, bytes.fromhex(made.id)))
        kept = await mesh.engine.read(lambda turn: mesh.flows.letters.read(turn, bytes.fromhex(made.id)))
        assert grant is not None
        assert kept is not None
        assert grant.payload["transcribed"] is True
        salt, kind, sha256, media_type, captured = kept
        evidence = Evidence(kind, sha256, media_type, captured, salt)
        assert grant.payload["evidence"] == [evidence.digest()]
        assert sha256 == hashlib.sha256(b"%PDF-1.7 signed").digest()
        sent = await do(ada, "data send", consent=made.id)
        assert (sent.state, sent.reason) == ("refused", "EVIDENCE_PENDING")
        for node in (ada, bob):  # the setting of this node: a paper that nobody has checked yet will do
            flows = node.mesh().flows
            flows.door.pending_evidence = True
        sent = await do(ada, "data send", consent=made.id)
        assert (sent.state, sent.reason) == ("refused", "NO_READINGS")


def _remind(turn: Any, request: bytes) -> Any:
    entry = turn.core.replica.entry(turn.rows, request)
    return turn.state("consent.remind", entry.thing, {"request": request})


@pytest.mark.covers("R61")
async def test_a_request_is_reminded_three_times(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        asked = await do(bob, "consent request", holder="ada", point=(POINT,), granularity="PT30M", **WHAT, **PERIOD)
        made = []
        for count in range(1, 4):
            reminded = await do(bob, "consent remind", id=asked.id)
            assert reminded.state == f"reminded {count} times"
            made.append(reminded.entry)
        await refused("TOO_MANY_REMINDERS", bob, "consent remind", id=asked.id)
        mesh = bob.mesh()
        more = await mesh.engine.act(lambda turn: _remind(turn, bytes.fromhex(asked.id)))
        told = [await do(bob, "explain", id=ident) for ident in (*made, more.id.hex())]  # of one second, ids decide
        assert {one.rule for one in told} == {"C11"}
        assert sorted(one.verdict for one in told) == ["counts", "counts", "counts", "void"]
        await until(lambda: do(ada, "consent list", requests=True), lambda found: found.consents)
        await refused("NOT_A_PARTY", ada, "consent remind", id=asked.id)


@pytest.mark.covers("R68", "R56")
async def test_a_daughter_consents_for_her_mother_until_she_may_not(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        for name in ("mother", "daughter"):
            await do(ada, "wallet create", name=name)
        key = (await do(ada, "delegation key", wallet="daughter")).key
        bounds = {"point": (POINT,), "recipient": ("bob",), "granularity": "PT30M"}
        given = await do(ada, "delegation give", wallet="mother", to=key, **bounds)
        assert (given.state, given.delegate) == ("live", key)
        args = {"recipient": "bob", "granularity": "PT30M", **WHAT, **PERIOD}
        made = await do(ada, "delegation grant", wallet="daughter", under=given.id, point=(POINT,), **args)
        await until(lambda: do(bob, "consent list"), lambda found: [line.id for line in found.consents] == [made.id])
        await until(
            lambda: do(bob, "delegation list"), lambda found: [one.id for one in found.delegations] == [given.id]
        )
        await refused("REVOKE_NOT_YOURS", bob, "delegation revoke", id=given.id)
        brief = await do(ada, "delegation give", wallet="mother", to=key, days=30, **bounds)
        under = {"wallet": "daughter", "under": brief.id, "point": (POINT,), **args}
        await refused("OUTLIVES", ada, "delegation grant", days=60, **under)
        short = await do(ada, "delegation grant", **under)  # as long as the delegation, since nothing else was said
        assert (await do(ada, "consent show", id=short.id)).line.valid_until == brief.valid_until
        ended = await do(ada, "delegation revoke", id=given.id)
        assert ended.state == "revoked"
        await until(lambda: do(bob, "delegation show", id=given.id), lambda shown: shown.state == "revoked")
        assert (await do(ada, "explain", id=given.id)).rule == "C9"


async def test_a_group_votes_and_one_refuses_for_herself(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        for name in ("loop", "anna", "ben"):
            await do(ada, "wallet create", name=name)
        key = (await do(ada, "delegation key", wallet="loop")).key
        await do(ada, "group open", name="The loop", wallet="loop", quorum=50)
        joined = [
            (await do(ada, "group join", wallet=name, group=key, point=(point,))).id
            for name, point in (("anna", POINT), ("ben", OTHER))
        ]
        await do(ada, "group admit", delegation=(joined[0],), wallet="loop")
        shown = await do(ada, "group show", group=key)
        assert (shown.name, shown.members, set(shown.asking)) == ("The loop", 1, set(joined))
        args = {"recipient": "bob", "point": (POINT,), "granularity": "PT30M", **WHAT, **PERIOD}
        call = await do(ada, "group call", wallet="loop", title="Shall we?", **args)
        assert (call.state, call.members, call.missing) == ("open", 1, ("quorum", "majority"))
        await refused("SEVERAL_MEMBERS", ada, "group vote", id=call.id, choice="yes")
        assert (await do(ada, "group vote", id=call.id, choice="yes", wallet="ben")).yes == 0  # who was not admitted
        voted = await do(ada, "group vote", id=call.id, choice="yes", wallet="anna")
        assert (voted.yes, voted.missing) == (1, ())
        assert (await do(ada, "explain", id=call.id)).rule == "C10"
        await refused("CALL_NOT_PASSED", ada, "group carry", id=call.id, wallet="loop")
        await refused("NOT_A_MEMBER", bob, "group vote", id=call.id, choice="no")
        assert (await do(ada, "group refuse", id=call.id, wallet="ben")).group


def say_opened(life: Any, payload: Any, turn: Any) -> None:
    """Have the wallet "trust" say how its group decides."""
    life.say(turn, "trust", "group.open", payload)


@pytest.mark.covers("system:Sidewalk Toronto")
async def test_a_trust_names_its_beneficiaries_or_is_none(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada:
        await do(ada, "mesh create", name="quay")
        await do(ada, "wallet create", name="trust")
        key = (await do(ada, "delegation key", wallet="trust")).key
        args = {"name": "Civic data trust", "wallet": "trust", "trustee": ("A panel of three",)}
        with pytest.raises(MailleError) as error:
            await do(ada, "group open", **args)
        assert error.value.code == "TRUST_WITHOUT_BENEFICIARIES"
        rules = {"decides": "persons", "majority_percent": 50, "quorum_percent": 50, "critical_mass": 1}
        for trust in ({"trustees": ["A panel"]}, {"trustees": ["A panel"], "beneficiaries": []}):
            payload = {"name": "Trust", **rules, "trust": trust}
            with pytest.raises(MailleError):  # whoever makes the entry by other means: no such entry
                await ada.mesh().engine.act(partial(say_opened, ada.mesh().flows.life, payload))
        assert (await do(ada, "group show", group=key)).name == ""
        opened = await do(ada, "group open", **args, beneficiary=("The residents of the quay",))
        assert opened.entry
        shown = await do(ada, "group show", group=key)
        assert (shown.trustees, shown.beneficiaries) == (("A panel of three",), ("The residents of the quay",))


async def test_a_group_with_colleges_decides_by_their_weights(tmp_path: Path) -> None:
    async with running(make_home(tmp_path / "ada", "ada")) as ada, running(make_home(tmp_path / "bob", "bob")) as bob:
        await pair(ada, bob)
        people = {"anna": ("tenants", "yes"), "ben": ("owners", "no"), "carl": ("owners", "no")}
        for name in ("loop", *people):
            await do(ada, "wallet create", name=name)
        for wrong in (("tenants",), ("=2",), ("tenants=0",), ("tenants=1001",), ("a=1", "a=2")):
            with pytest.raises(MailleError, match="college"):
                await do(ada, "group open", name="The loop", wallet="loop", college=wrong)
        await do(ada, "group open", name="The loop", wallet="loop", college=("tenants=3", "owners=1"))
        key = (await do(ada, "delegation key", wallet="loop")).key
        joined = [
            await do(ada, "group join", wallet=name, group=key, college=college, point=(POINT,), days=200)
            for name, (college, _) in people.items()
        ]
        await do(ada, "group admit", delegation=tuple(one.id for one in joined), wallet="loop")
        shown = await do(ada, "group show", group=key)
        assert [(one.name, one.weight, one.members) for one in shown.colleges] == [("tenants", 3, 1), ("owners", 1, 2)]
        what = {"recipient": "bob", "point": (POINT,), "granularity": "PT30M", **WHAT, **PERIOD}
        call = await do(ada, "group call", wallet="loop", title="Shall we?", days=100, **what)
        for name, (_, choice) in people.items():
            call = await do(ada, "group vote", id=call.id, choice=choice, wallet=name)
        assert (call.yes, call.no, call.missing) == (1, 2, ())  # three quarters of the weight said yes
