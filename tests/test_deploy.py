"""The files in deploy/: alerts and dashboard ask for metrics that exist, and the image's commands are commands."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from node.metrics import NAMES
from node.operations import find

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
METRIC = re.compile(r"\bmaille_[a-z_]+")


def alerts() -> list[dict[str, Any]]:
    read = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))
    return [rule for group in read["groups"] for rule in group["rules"]]


def test_alerts_ask_for_metrics_that_exist_and_say_what_to_do() -> None:
    assert len(alerts()) >= 8
    for rule in alerts():
        asked = set(METRIC.findall(rule["expr"]))
        assert asked <= set(NAMES), rule["alert"]
        assert asked or 'up{job="maille"}' in rule["expr"]
        assert rule["labels"]["severity"] in ("page", "warn", "info")
        for noun, verb in re.findall(
            r"\bmaille (\w+) (list|status|verify|create|drill)\b", rule["annotations"]["action"]
        ):
            assert find(noun, verb) is not None, rule["annotations"]["action"]


def test_the_dashboard_asks_for_metrics_that_exist() -> None:
    board = json.loads((DEPLOY / "grafana" / "maille.json").read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert len(asked) >= 10
    assert {name for each in asked for name in METRIC.findall(each)} <= set(NAMES)
    places = [tuple(panel["gridPos"].values()) for panel in board["panels"]]
    assert len(set(places)) == len(places)


def test_the_image_runs_commands_that_exist_and_takes_its_passphrase_from_a_file() -> None:
    image = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    for line in re.findall(r"^(?:CMD|HEALTHCHECK .*CMD) (\[.*\])$", image, re.MULTILINE):
        words = [word for word in json.loads(line) if word != "maille"]
        assert find(words[0], words[1]) if words[0] == "node" else find(None, words[0])
    assert re.search(r"^USER (?!root)", image, re.MULTILINE)
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    assert len(compose["services"]) == 3
    assert all(one["read_only"] and one["secrets"] for one in compose["services"].values())
    assert not re.search(r"^(ENV|ARG) .*PASS", image, re.MULTILINE)
