"""What is remembered of peers is bounded, and buckets hold what they say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gossip.peers import Bucket, Recent


@given(
    st.integers(1, 50),
    st.integers(1, 50),
    st.lists(st.tuples(st.integers(-500, 3_000), st.integers(0, 60)), max_size=40),
)
def test_a_bucket_never_gives_more_than_burst_and_rate(rate: int, burst: int, acts: list[tuple[int, int]]) -> None:
    now, forward, given_out = 10_000, 0, 0
    bucket = Bucket(rate, burst, now)
    for wait, tokens in acts:
        now += wait
        forward += max(0, wait)
        if bucket.take(tokens, now):
            given_out += tokens
        assert given_out <= burst + forward * rate / 1000


def test_a_bucket_fills_again() -> None:
    bucket = Bucket(10, 20, 0)
    assert bucket.take(20, 0)
    assert not bucket.take(1, 99)
    assert bucket.take(1, 100)


@given(st.integers(1, 5), st.lists(st.integers(0, 9)))
def test_the_oldest_gives_way(most: int, keys: list[int]) -> None:
    recent: Recent[int, int] = Recent(most)
    for at, key in enumerate(keys):
        recent.set(key, at)
    newest = list(dict.fromkeys(reversed(keys)))[:most]
    assert [key for key, _ in recent.items()] == newest[::-1]
    assert len(recent) == len(newest)
    assert all(recent.get(key) == len(keys) - 1 - keys[::-1].index(key) for key in newest)
