"""The genesis of a mesh, its policy, and the reference to an epoch (governance.md §1, §2).

How it works
    A mesh begins with one genesis entry, signed by one founder's root key; `mesh_id` is that entry's id. The
    genesis is epoch 0, so the reference to epoch 0 is the mesh id itself; a later epoch E_n is named by the
    SHA-256 of its deterministic CBOR, which holds the reference to E_(n-1). Every governance entry carries the
    reference of the epoch it was made under, so closures need no seal votes.

What it does not do
    It seals nothing and judges no certificate: `sealing`, `certificate` and `chain` do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from ledger import codec
from ledger.entry import Entry, sign_entry
from ledger.errors import RemoteError
from ledger.governance.rules import Rules, first_of_each, voices
from ledger.keys import SigningKey, thumbprint

FOUNDERS_MAX: Final = 512  # each may vote under the first epoch (certificate.VOTERS_MAX)
EVALUATOR_VERSION: Final = 1  # the rules this code folds by; changed by ballot alone (governance.md §2)


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules the founders choose. All times in seconds; defaults are those of the normative pages."""

    frame: str = "none"
    tick_seconds: int = 300
    heartbeat_seconds: int = 60
    max_staleness_seconds: int = 600
    consent_days_max: int = 1_096
    invitations_a_day: int = 10
    attestation_quorum: int = 1
    forbidden_purposes: tuple[str, ...] = ()
    rules: bytes | None = None  # encoded governance.rules.Rules, where they are more than the frame `none`
    seal_seconds: int | None = None  # at most one seal in so long; None: ten minutes

    def payload(self) -> dict[str, Any]:
        """Return the policy as it stands in a genesis."""
        fields = {**asdict(self), "forbidden_purposes": list(self.forbidden_purposes)}
        return {name: value for name, value in fields.items() if value is not None}

    @classmethod
    def read(cls, payload: dict[str, Any]) -> Policy:
        """Read a policy that passed its schema; unknown fields belong to later evaluators and are skipped."""
        names = {name for name in cls.__dataclass_fields__ if name in payload}
        values = {name: payload[name] for name in names}
        values["forbidden_purposes"] = tuple(payload.get("forbidden_purposes", ()))
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Genesis:
    """What a genesis entry says. `founders`: (root key, first device key) pairs of Ed25519 public keys."""

    entry: Entry
    name: str
    founders: tuple[tuple[bytes, bytes], ...]
    policy: Policy
    evaluator_version: int
    rules: Rules = field(default_factory=Rules)

    @property
    def mesh_id(self) -> bytes:
        """SHA-256 of the genesis entry; also the reference to epoch 0."""
        return self.entry.id

    @property
    def voters(self) -> dict[bytes, bytes]:
        """Who decides under epoch 0: root key id -> first device's public key.

        Every founder; of those that the genesis' own rules affiliate the smallest key id alone, else a group could make
        the first seal by itself, and with it say who decides from then on. The votes of the others rest (`seats`).
        """
        devices = {thumbprint(root): device for root, device in self.founders}
        first = first_of_each(sorted((kid, 1) for kid in devices), voices(self.rules.affiliations))
        return {kid: devices[kid] for kid, _ in first.values()}

    @classmethod
    def read(cls, entry: Entry) -> Genesis:
        """Read a genesis entry. Raises RemoteError NOT_A_GENESIS, BAD_POLICY, POLICY_NOT_CANONICAL."""
        if entry.kind != "genesis":
            raise RemoteError("NOT_A_GENESIS", f"a mesh begins with a genesis entry, not with {entry.kind}")
        payload = entry.payload
        founders = tuple((root, device) for root, device in payload["founders"])
        if entry.signer not in {root for root, _ in founders}:
            raise RemoteError("NOT_A_GENESIS", "the signer of a genesis must be among its founders", field="founders")
        if len({root for root, _ in founders}) != len(founders) or len({d for _, d in founders}) != len(founders):
            raise RemoteError("NOT_A_GENESIS", "a founder or a device is listed twice", field="founders")
        if len(founders) > FOUNDERS_MAX:
            raise RemoteError("NOT_A_GENESIS", f"a mesh has at most {FOUNDERS_MAX} founders", field="founders")
        policy = Policy.read(payload["policy"])
        return cls(entry, payload["name"], founders, policy, payload["evaluator_version"], _first_rules(policy))


def _first_rules(policy: Policy) -> Rules:
    """Return the rules that the genesis sets: those it carries whole, or the frame `none` with its few settings."""
    if policy.rules is not None:
        rules = Rules.decode(policy.rules)
        if rules.frame != policy.frame:
            raise RemoteError("BAD_POLICY", f"the rules are of frame {rules.frame}", field="policy.frame")
        return rules
    if policy.frame != "none":
        raise RemoteError("BAD_POLICY", f"frame {policy.frame} needs rules that say who gets in", field="policy.rules")
    return Rules(invitations_a_day=policy.invitations_a_day, forbidden_purposes=policy.forbidden_purposes)


def make_genesis(
    root: SigningKey,
    name: str,
    founders: Sequence[tuple[bytes, bytes]],
    policy: Policy,
    *,
    now: int,
    random16: bytes,
    parent: bytes | None = None,
) -> Genesis:
    """Sign the first entry of a new mesh. `founders`: (root, first device) public keys, the signer's among them."""
    payload: dict[str, Any] = {
        "name": name,
        "founders": [list(pair) for pair in founders],
        "policy": policy.payload(),
        "evaluator_version": EVALUATOR_VERSION,
    }
    if parent is not None:
        payload["parent"] = parent
    entry = sign_entry(root, "genesis", ("mesh", random16), payload, iat=now, cti=random16, seen=(), mesh_id=None)
    return Genesis.read(entry)


@dataclass(frozen=True, slots=True)
class Epoch:
    """A certified step of governance, n >= 1. Lists travel by hash; the field order is fixed by the codec.

    `prev`: reference of the epoch before; `as_of`: governance time, unix seconds; the `*_digest` fields are
    SHA-256 of the deterministic CBOR of the lists; `open_proposals`: entry ids.
    """

    n: int
    prev: bytes
    as_of: int
    members_digest: bytes
    voters_digest: bytes
    frontier_digest: bytes
    cuts_digest: bytes
    state_root: bytes
    policy_digest: bytes
    charter: bytes | None
    thresholds: tuple[int, ...]
    evaluator_version: int
    open_proposals: tuple[bytes, ...]

    def encode(self) -> bytes:
        """Return the deterministic CBOR map whose SHA-256 is the epoch's reference."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        fields["thresholds"] = list(self.thresholds)
        fields["open_proposals"] = list(self.open_proposals)
        return codec.encode(fields)

    def reference(self) -> bytes:
        """Return the 32 bytes by which governance entries name this epoch."""
        return hashlib.sha256(self.encode()).digest()
