"""The rules of the mesh as far as a bundle shows them: those of the newest epoch that is carried, else the genesis'.

How it works
    An epoch names its rules by their hash. Where they are the genesis' they are known; where others, they are only if
    the document itself is attached. Purposes that are forbidden, and members that are affiliated, are read from there.
    Affiliated members have one voice: the smallest of the group's key ids (governance.md §4).

What it does not do
    It cannot know rules voted after the newest epoch that is carried, nor an affiliation that nobody declared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from ledger.errors import RemoteError
from ledger.governance.epoch import Genesis
from ledger.governance.rules import Rules, voices
from proofs.bundle import Attachment
from proofs.epochs import Step


@dataclass(frozen=True)
class Known:
    """The rules that are known. `epoch`: the newest epoch's number, 0 where none is carried; `newest`: they are its."""

    rules: Rules
    epoch: int
    newest: bool

    @cached_property
    def _voices(self) -> Mapping[bytes, bytes]:
        return voices(self.rules.affiliations)

    def voice(self, member: bytes) -> bytes:
        """Return who speaks for a member (root key id): itself, or one for all its affiliates."""
        return self._voices.get(member, member)

    def words(self) -> str:
        """Return whose rules they are, for a row."""
        if self.newest:
            return f"the rules of epoch {self.epoch}"
        if not self.epoch:
            return "the rules of the genesis"
        return f"the genesis alone: the rules of epoch {self.epoch} are others, and not carried"

    def unshown(self) -> str:
        """Return what is not shown of affiliations."""
        if self.newest:
            return f"affiliations of witnesses that the rules of epoch {self.epoch} do not declare"
        since = f", as those of epoch {self.epoch}, which are others, may" if self.epoch else ""
        return f"affiliations of witnesses that the genesis does not declare: rules since may do so{since}"


def known_rules(genesis: Genesis, chain: tuple[Step, ...], attachments: tuple[Attachment, ...]) -> Known:
    """Return the rules that the items of a bundle show."""
    if not chain:
        return Known(genesis.rules, 0, newest=False)
    newest = chain[-1].epoch
    if newest.policy_digest == sha256(genesis.rules.encode()).digest():
        return Known(genesis.rules, newest.n, newest=True)
    for each in attachments:
        if each.sha256 == newest.policy_digest and each.content is not None:
            if sha256(each.content).digest() != each.sha256:
                break  # the bundle will be refused for it
            try:
                return Known(Rules.decode(each.content), newest.n, newest=True)
            except RemoteError:
                break
    return Known(genesis.rules, newest.n, newest=False)
