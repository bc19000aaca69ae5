"""The table of operations: every command and every path of the control API (design.md §7).

How it works
    `OPERATIONS` is read from the modules of `node/ops`, in the order in which `NOUNS` names them. `node/operation.py`
    says how to write one.

What it does not do
    It holds no handler and imports nothing heavy: the command line reads it at each start.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

from node.operation import Operation

NOUNS: Final = {
    "node": "This node: make it, run it, see how it is.",
    "config": "Settings: check, show, change, have the node take them over.",
    "storage": "Room on the disk: how much is taken, the quota, compacting.",
    "mesh": "Meshes: make, list, show, leave.",
    "invite": "Tickets, with which others join.",
    "requests": "Applications that wait for our answer.",
    "member": "The members of a mesh.",
    "policy": "The rules of a mesh: show them, propose others.",
    "proposal": "Ballots: list, show, propose.",
    "vote": "Votes: cast, delegate, by default.",
    "epoch": "Epochs: what voters have sealed.",
    "peers": "The devices this node talks to, and why it does not.",
    "tenant": "Tenants: services without a node, hosted by a member.",
    "link": "Links: between which members data may flow.",
    "wallet": "Wallets: the keys of people, kept here for them.",
    "consent": "Consents: ask, give, refuse, look, withdraw.",
    "delegation": "Delegations: let somebody consent in one's name, within bounds.",
    "group": "Groups: join, call, vote, refuse for oneself.",
    "pages": "The pages for people whose wallets are kept here: invite them, list their accounts.",
    "readings": "One's own readings: import, list, export.",
    "data": "Data that move: send, request, receipts, refusals.",
    "point": "Points of measurement: who may speak for them, and who moved out.",
    "share": "Shares: a part of a consent, given out with a one-time code.",
    "rights": "A person's rights: ask, answer, see who is late.",
    "identity": "Identities: say whose key it is, without showing who.",
    "fact": "Facts: one statement about a person, shown without the data behind it.",
    "allocation": "The keys by which a loop shares its energy.",
    "processing": "Records of processing: what went in, what was done, what came out.",
    "erasure": "Deleting what was received: what is due, do it, what was done.",
    "changes": "What happened to consents and data, for programs that follow it.",
    "webhook": "Addresses that are told when a consent begins or ends, and when data arrive.",
    "aggregate": "Sums over several people: publish what passes the thresholds, list, export, check.",
    "compute": "Computations at the holder, of which only the result leaves.",
    "pseudonym": "What recipients call points in files that are exported for them.",
    "probe": "Probes: ask a member with and without consent, see what it answers.",
    "document": "Documents that members write together: charters, notices, agreements.",
    "entry": "Single entries of the ledger.",
    "ledger": "The ledger: roots, size, verification.",
    "checkpoint": "Checkpoints of feeds, with the members that cosigned them.",
    "tick": "Have the mesh agree on one state now.",
    "proof": "Files that prove a consent, a conduct or a period to an outsider.",
    "audit": "Audits: every transfer held against a consent, and the duties that are open.",
    "trust": "What an auditor must know from elsewhere: the card, and whose word is enough.",
    "device": "Devices: list, certify a successor, retire, recover after a restore.",
    "backup": "Backups: make, verify, restore, practise.",
    "upgrade": "Upgrades: what a new release does to the stores, doing it, going back.",
    "service": "The systemd unit that runs the node: show, install, check.",
    "key": "The keys of this node.",
    "sim": "Simulations for research: run, sweep, compare, replay, validate, draw.",
    "scenario": "Scenarios: stories of organisations, people and flows, played on real nodes.",
    "token": "Tokens, with which programs use the control API over TCP.",
}
"""Nouns with their one line of help, in the order of `maille --help`. Each is the module node/ops/NOUN.py."""

ALONE: Final = ("join", "explain", "demo", "health", "doctor", "events", "bugreport", "completion", "man")
"""Modules of node/ops whose commands have one word."""

MORE: Final = (
    "consent_life",
    "consent_records",
    "readings_generate",
    "share_export",
    "sim_validate",
    "sim_sweep",
    "sim_report",
)
"""Modules with more commands of a noun that has a module of its own."""


SHORT: Final = {"status": ("node", "status")}
"""Commands that are typed so often that they have a shorter name too."""


def _collect() -> tuple[Operation, ...]:
    found: dict[int, Operation] = {}  # by identity: a module may hold another's operations too
    for module in (*NOUNS, *ALONE, *MORE):
        held = vars(import_module(f"node.ops.{module}")).values()
        found.update((id(value), value) for value in held if isinstance(value, Operation) and id(value) not in found)
    return tuple(found.values())


OPERATIONS: Final = _collect()
"""Every operation, once."""


def find(noun: str | None, verb: str) -> Operation | None:
    """Return one operation by name, or None."""
    return next((one for one in OPERATIONS if (one.noun, one.verb) == (noun, verb)), None)
