"""The second half of `maille demo`: a charter that three write at once, and a member that turns and is voted out.

How it works
    The mesh of the first half goes on. Its founders are its voters. Three of them edit one charter at the same time,
    and adopt it by ballot; then one founder's node is started anew as one that serves without consent (node/turncoat),
    is asked for data that nobody consented to, and signs the proof of its own fault by answering. The others vote; the
    expelled node's answer, an expulsion of its own that claims to know of nothing, lies beyond its cut.

What it does not do
    It decides nothing: each act is an operation of a node, and what is told was counted by the nodes.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from ledger.errors import MailleError
from node.actors import Actor, Say, until

VOTERS: Final = 4
"""How many of the nodes found the mesh, at most."""
_EDITS: Final = (
    "Members answer a question about their data within ten days.",
    "Nobody is refused for want of a smart meter.",
    "The federation meets in public twice a year.",
)


class Governance:
    """The acts. `voters`: the founders, the last of whom turns; `others`: nodes that joined later."""

    def __init__(self, voters: list[Actor], others: list[Actor], say: Say, told: dict[str, Any]) -> None:
        self._honest, self._turned = voters[:-1], voters[-1]
        self._all = [*self._honest, *others]
        self._say, self._told = say, told

    def play(self) -> None:
        """Play the acts in order."""
        self._charter()
        self._turn()
        self._expulsion()
        self._afterwards()

    # The charter

    def _charter(self) -> None:
        first = self._honest[0]
        opened = first.call("document", "open", template="charter", language="en")
        writers = [*self._honest, self._turned][:3]
        until(lambda: all(self._heads(w, opened.id) for w in writers), "the charter does not reach the writers")
        read = [writer.call("document", "show", document=opened.id) for writer in writers]
        for writer, one, edit in zip(writers, read, _EDITS, strict=False):
            text = f"{one.text.rstrip()}\n\n{edit}\n".encode()
            writer.call("document", "edit", document=opened.id, file=text, version=one.version)
        shown = until(lambda: self._merged(opened.id), "the edits do not merge")
        self._told["charter_heads_equal"] = True
        self._say(
            f"11. Three nodes write one charter at the same time; every node shows the same {len(shown.text)} "
            "characters, with all three edits in it."
        )
        first.call("document", "adopt", document=opened.id)
        proposed = first.call("proposal", "charter", version=shown.version, reason="our charter")
        self._vote(proposed.id, [*self._honest, self._turned])
        until(lambda: self._charter_is(shown.version), "no seal brings the charter into force", SEAL_SECONDS_MAX)
        self._say("   The voters adopt exactly this text by ballot, and seal it: from now on it is the charter.")

    def _heads(self, actor: Actor, document: str) -> tuple[str, ...]:
        try:
            return tuple(actor.call("document", "show", document=document).heads)
        except MailleError:
            return ()

    def _merged(self, document: str) -> Any:
        shown = [actor.call("document", "show", document=document) for actor in (*self._all, self._turned)]
        same = len({tuple(one.heads) for one in shown}) == 1 == len({one.text for one in shown})
        whole = all(edit in shown[0].text for edit in _EDITS)
        return shown[0] if same and whole else None

    def _charter_is(self, version: str) -> bool:
        return all(actor.call("policy", "show").charter == version for actor in self._all)

    def _vote(self, proposal: str, voters: list[Actor]) -> None:
        for voter in voters:
            until(partial(self._knows, voter, proposal), f"the proposal does not reach the {voter.name}")
            voter.call("vote", "cast", proposal=proposal, choice="yes")

    def _knows(self, actor: Actor, proposal: str) -> bool:
        return any(row.id == proposal for row in actor.call("proposal", "list", all=True).proposals)

    # The member that turns

    def _turn(self) -> None:
        turned, prober = self._turned, self._honest[1]
        turned.call("readings", "generate", seed=2, days=2, kind="daily")
        turned.kill()
        turned.start(turned=True)
        turned.ready()
        found = until(lambda: self._probe(prober), "the member that turned is not found out")
        self._entry = found.entry
        self._say(
            f"12. The {turned.name} turns: its node now serves data without consent. The {prober.name} asks it for "
            f"some, under a consent that nobody gave, and gets an answer: {found.fault}. By signing it, the "
            f"{turned.name} has proven its own fault."
        )

    def _probe(self, prober: Actor) -> Any:
        try:
            done = prober.probe(self._turned.did, "imagined")
        except MailleError as error:
            if error.code in ("MEMBER_AWAY", "NOTHING_TO_PROBE"):
                return None
            raise
        return done if done.fault else None

    def _expulsion(self) -> None:
        first, turned = self._honest[0], self._turned
        before = self._standing()
        proposed = first.call("proposal", "expel", member=turned.did, reason=f"served without consent: {self._entry}")
        until(lambda: self._knows(turned, proposed.id), "the proposal does not reach its target")
        revenge = turned.call("proposal", "expel", member=first.did, reason="revenge")
        turned.call("vote", "cast", proposal=revenge.id, choice="yes")
        until(lambda: all(self._knows(actor, revenge.id) for actor in self._honest), "the revenge does not arrive")
        self._vote(proposed.id, self._honest)
        until(self._is_out, "the expulsion does not take effect everywhere")
        until(self._is_cut_off, "a channel to the expelled node stays open")
        self._told["expelled"], self._told["expelled_channels_closed"] = True, True
        self._say(
            f"13. {len(self._honest)} of the others vote it out. Every node has closed its channel to the "
            f"{turned.name}, and holds its feed at the cut."
        )
        after, verdict = self._standing(), first.call(None, "explain", id=revenge.id)
        self._told["revenge_changed_state"] = before != after or verdict.verdict == "counts"
        self._say(
            f"    Its own proposal, to expel the {first.name}, stands beyond that cut and comes to nothing "
            f"({verdict.verdict}, rule {verdict.rule}). Nothing else has changed."
        )

    def _standing(self) -> list[list[tuple[str, str, bool]]]:
        """Return who is in and who votes, as each honest node sees it, the one that turned apart."""
        shown = [actor.call("member", "list").members for actor in self._all]
        return [sorted((row.id, row.state, row.voter) for row in rows if row.did != self._turned.did) for rows in shown]

    def _is_out(self) -> bool:
        return all(self._state(actor) == "expelled" for actor in self._all)

    def _state(self, actor: Actor) -> str:
        rows = actor.call("member", "list").members
        return next((str(row.state) for row in rows if row.did == self._turned.did), "")

    def _is_cut_off(self) -> bool:
        rows = [row for actor in self._all for row in actor.call("member", "list").members]
        return not any(row.connected for row in rows if row.did == self._turned.did)

    def _afterwards(self) -> None:
        done = self._honest[0].call("tick", "run")

        def agree() -> bool:
            return all(actor.call("ledger", "root").state_root == done.state_root for actor in self._all)

        until(agree, "the nodes that are left do not agree on a state root")
        self._say(f"    The {len(self._all)} nodes that are left go on, with one state root, {done.state_root[:16]}….")


SEAL_SECONDS_MAX: Final = 30.0
