"""C2SP tlog-policy text, read strictly, and what its quorums mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.checkpoint import origin, vkey
from ledger.errors import LocalError, RemoteError
from ledger.keys import SigningKey
from proofs.policy import MemberQuorum, Witness, earliest, parse_policy, policy_text

MESH = bytes(range(32))
KEYS = [SigningKey.from_seed(bytes([number]) * 32) for number in range(1, 7)]
VKEYS = [vkey(origin(MESH, key.kid), key.public) for key in KEYS]

EXAMPLE = f"""
# the example of the specification, with a comment
log {VKEYS[5]} https://log.example
\twitness X1  {VKEYS[0]}\t
witness X2 {VKEYS[1]} https://witness.example
witness X3 {VKEYS[2]}
group X-witnesses 2 X1 X2 X3
witness Y1 {VKEYS[3]}
witness Y2 {VKEYS[4]}
group Y-witnesses any Y1 Y2
group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


def witnesses(*numbers: int) -> set[Witness]:
    """Return witnesses by number; each is another member, a second later than the one before."""
    return {Witness(KEYS[at].public, KEYS[at].kid, 100 + at) for at in numbers}


def test_the_example_of_the_specification() -> None:
    policy = parse_policy(EXAMPLE)
    assert policy.enough(witnesses(0, 2, 3), MESH)
    assert policy.enough(witnesses(0, 1, 2, 4), MESH)
    assert not policy.enough(witnesses(0, 1, 2), MESH)
    assert not policy.enough(witnesses(0, 3, 4), MESH)
    assert not policy.enough(set(), MESH)
    assert not policy.enough(witnesses(0, 1, 2, 3, 4), bytes(32)), "the same keys, listed for another mesh"
    assert earliest(policy, witnesses(0, 1, 2, 3, 4), MESH) == 103
    assert earliest(policy, witnesses(0, 1), MESH) is None
    assert policy.listed(origin(MESH, KEYS[5].kid), KEYS[5].public)
    assert not policy.listed(origin(MESH, KEYS[4].kid), KEYS[4].public)


def test_names_are_octets() -> None:
    text = f"witness \u212a {VKEYS[0]}\nwitness K {VKEYS[1]}\nquorum \u212a\n"
    policy = parse_policy(text)
    assert policy.enough(witnesses(0), MESH)
    assert not policy.enough(witnesses(1), MESH)
    assert parse_policy(text.encode()) == policy
    assert parse_policy(b"# \xff\xfe\nquorum none\n").quorum == b"none"


def test_a_quorum_of_none_is_met_by_nobody() -> None:
    assert not parse_policy("quorum none\n").enough(witnesses(0, 1), MESH)


W, V = f"witness A {VKEYS[0]}\n", f"witness B {VKEYS[1]}\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "quorum none",  # no newline at the end
        W,  # no quorum
        W + "quorum A\nquorum A\n",
        "quorum A\n" + W,  # named before it is defined
        W + W + "quorum A\n",
        W + f"witness B {VKEYS[0]}\nquorum A\n",  # one key, two names
        f"log {VKEYS[0]}\nlog {VKEYS[0]}\nquorum none\n",
        f"witness none {VKEYS[0]}\nquorum none\n",
        W + "group A any A\nquorum A\n",
        W + "group G any\nquorum A\n",
        W + "group G 0 A\nquorum G\n",
        W + "group G 2 A\nquorum G\n",
        W + "group G 01 A\nquorum G\n",
        W + "group G +1 A\nquorum G\n",
        W + "group G \u0661 A\nquorum G\n",
        W + "group G some A\nquorum G\n",
        W + "group G any A A\nquorum G\n",
        W + V + "group G any A\ngroup H all A B\nquorum H\n",  # A in two groups
        W + "group G any none\nquorum G\n",
        W + "group G any H\ngroup H any A\nquorum G\n",
        W + "group G any G\nquorum G\n",
        "quorum none\r\n",
        "quorum\x00none\n",
        "quorum\x7fnone\n",
        "Quorum none\n",
        "quorum none extra\n",
        f"witness A {VKEYS[0]} url more\nquorum A\n",
        f"witness {VKEYS[0]}\nquorum none\n",
        f"witness A {VKEYS[0][:-1]}\nquorum A\n",
        f"log {VKEYS[0].replace('+', '-', 1)}\nquorum none\n",
        f"witness A {VKEYS[0].replace('maille', 'mäille')}\nquorum A\n",
        "\n" * 5_000 + "quorum none\n",
        "#" * 300_000 + "\nquorum none\n",
    ],
)
def test_what_is_not_a_policy(text: str) -> None:
    with pytest.raises(RemoteError) as caught:
        parse_policy(text)
    assert caught.value.code == "BAD_POLICY"
    assert caught.value.field


@given(
    st.binary(max_size=200) | st.lists(st.sampled_from([*"ABG", "group", "witness", "any", "2", "\n", " ", VKEYS[0]]))
)
def test_arbitrary_text_is_read_or_refused(text: bytes | list[str]) -> None:
    data = text if isinstance(text, bytes) else " ".join(text).encode()
    try:
        quorum = parse_policy(data + b"quorum none\n").quorum
    except RemoteError as error:
        quorum = error.code.encode()
    assert quorum in (b"none", b"BAD_POLICY")


def test_members_count_once() -> None:
    quorum = MemberQuorum(2)
    twice = {Witness(KEYS[0].public, MESH, 1), Witness(KEYS[1].public, MESH, 2)}
    assert not quorum.enough(twice, MESH)
    assert quorum.enough(twice | {Witness(KEYS[2].public, bytes(32), 9)}, MESH)
    assert earliest(quorum, twice | {Witness(KEYS[2].public, bytes(32), 9)}, MESH) == 9


def test_a_policy_that_is_written_is_met_by_any_k_members_and_by_no_fewer() -> None:
    members = [("Café de l'Ouest", [KEYS[0].public, KEYS[1].public]), ("", [KEYS[2].public]), ("x y", [KEYS[3].public])]
    text = policy_text(MESH, members, 2)
    policy = parse_policy(text)
    assert policy.enough(witnesses(0, 2), MESH)
    assert policy.enough(witnesses(1, 3), MESH)
    assert not policy.enough(witnesses(0, 1), MESH), "two devices of one member are one"
    assert policy.listed(origin(MESH, KEYS[5].kid), KEYS[5].public)
    narrow = parse_policy(policy_text(MESH, members, 2, logs=[KEYS[0].public]))
    assert narrow.listed(origin(MESH, KEYS[0].kid), KEYS[0].public)
    assert not narrow.listed(origin(MESH, KEYS[5].kid), KEYS[5].public)


@pytest.mark.parametrize("k", [0, 3])
def test_no_policy_asks_for_more_members_than_there_are(k: int) -> None:
    with pytest.raises(LocalError, match="BAD_POLICY"):
        policy_text(MESH, [("a", [KEYS[0].public]), ("b", [KEYS[1].public])], k)


def test_a_mesh_that_is_too_large_for_a_policy_is_said_to_be() -> None:
    keys = [SigningKey.from_seed(number.to_bytes(32, "big")).public for number in range(1, 259)]
    with pytest.raises(LocalError, match="does not fit"):
        policy_text(MESH, [("m", [key]) for key in keys], 2)
