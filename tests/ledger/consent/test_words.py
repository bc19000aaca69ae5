"""Plain words: every limit that is granted is said, in both languages, and nothing else changes the order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ledger.consent.reasons import SENTENCES, Reason, sentence
from ledger.consent.record import Actor, DataKind, OnwardSharing, Rights, Stages
from ledger.consent.words import Parties, in_words
from tests.ledger.consent.cases import DAILY, NOW, TERMS, but

DAY = 86_400
PARTIES = Parties("Enedis", "the City", 1_777_593_600)  # 1 May 2026


def _text(lang: str, **changes: Any) -> str:
    return "\n".join(in_words(but(**changes), PARTIES, lang))


@pytest.mark.covers("R78")
@pytest.mark.parametrize(
    ("lang", "said"),
    [
        ("en", ["Enedis may send your data to the City", "Advice on insulation", "30 minutes", "load curve"]),
        ("en", ["PRM 12345678901234", "at most 1 year", "CNIL", "press Withdraw", "Hosting Ltd (processor)"]),
        ("en", ["your consent", "not be passed on", "right of access", "holder of the contract"]),
        ("fr", ["Enedis pourra transmettre vos données à the City", "courbe de charge", "30 minutes", "1 an"]),
        ("fr", ["PRM 12345678901234", "votre consentement", "droit d'accès", "titulaire du contrat"]),
    ],
)
def test_what_was_agreed_is_said(lang: str, said: list[str]) -> None:
    text = _text(lang)
    assert [words for words in said if words not in text] == []


@pytest.mark.covers("R80")
@pytest.mark.parametrize("lang", ["en", "fr"])
def test_every_field_that_changes_a_right_changes_the_words(lang: str) -> None:
    plain = _text(lang)
    changes: list[dict[str, Any]] = [
        {"purpose": "Else"},
        {"legal_basis": "contract"},
        {"points": TERMS.points[:1]},
        {"pii_type": DataKind("electricity", "production", "load_curve")},
        {"pii_type": DAILY, "granularity": "P1D"},
        {"granularity": "PT10M"},
        {"data_period": ((0, DAY),)},
        {"access_period": (NOW, NOW + DAY)},
        {"controllers": (Actor("Else", "controller"),)},
        {"processors": ()},
        {"recipients": (Actor("Shops", "category"),)},
        {"onward_sharing": OnwardSharing("depth", 2)},
        {"onward_sharing": OnwardSharing("listed", 0, (Actor("Else", "recipient"),), aggregate_only=True)},
        {"retention": "P2M"},
        {"storage": "elsewhere"},
        {"jurisdiction": "DE"},
        {"withdrawal_method": "by letter"},
        {"rights": Rights("a", "b", "c", "d", "e")},
        {"authority": "BfDI"},
        {"dpo_contact": "else"},
        {"stages": Stages(local=True, upload=False, transmit=True)},
        {"freshness": (b"a" * 32,)},
        {"principal_role": "guardian"},
        {"computation": b"c" * 32},
    ]
    texts = [_text(lang, **change) for change in changes]
    assert plain not in texts
    assert len(set(texts)) == len(texts)


def test_the_earlier_end_is_the_one_that_is_said() -> None:
    assert "to 30 April 2026;" in _text("en", access_period=(NOW, None))
    assert "au 30 avril 2026," in _text("fr", access_period=(NOW, None))
    assert "to 1 March 2026;" in _text("en", access_period=(NOW, 1_772_409_600))
    assert "du 1er janvier 1970 au 2 janvier 1970" in _text("fr", data_period=((0, 2 * DAY),))


@pytest.mark.covers("R78")
def test_sentences_are_short_and_end_once() -> None:
    for lang in ("en", "fr"):
        for line in in_words(replace(TERMS, storage="in Lyon."), PARTIES, lang):
            assert line.endswith(".")
            assert not line.endswith("..")
            assert len(line) < 160


def test_many_points_are_counted_not_listed() -> None:
    points = tuple(f"prm:{n:014}" for n in range(300))
    assert "and 295 more" in _text("en", points=points)
    assert "et 295 autres" in _text("fr", points=points)


def test_what_was_not_told_shows() -> None:
    assert "What for: (not said)." in _text("en", purpose="", pii_type=None, granularity=None)


def test_every_reason_has_its_sentences() -> None:
    assert set(SENTENCES) == set(Reason)
    assert all(reason.name == reason.value for reason in Reason)
    for pair in SENTENCES.values():
        assert all(words.endswith(".") and len(words) < 120 for words in pair)
    for lang in (0, 1):
        assert len({pair[lang] for pair in SENTENCES.values()}) == len(Reason)
    assert sentence(Reason.WITHDRAWN, "fr") == "La personne a retiré son consentement."


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_a_computation_is_named_by_what_it_gives_and_by_its_hash(lang: str) -> None:
    named = replace(TERMS, computation=bytes(range(32)))
    bare = " ".join(in_words(named, Parties("ada", "bob", NOW), lang))
    assert "0001020304050607" in bare
    told = " ".join(in_words(named, Parties("ada", "bob", NOW, "The sum of all readings."), lang))
    assert "The sum of all readings (0001020304050607)." in told
    assert "0001020304050607" not in " ".join(in_words(TERMS, Parties("ada", "bob", NOW), lang))
