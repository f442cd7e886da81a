"""The page about metrics, and the example rules, say what the program gives."""

import re

import yaml  # type: ignore[import-untyped] # comes with schemathesis; its types would be one more dependency

from agent.metrics.exposition import METRICS, ROOM
from tests.support.pages import ROOT, rows, section

PAGE = (ROOT / "docs" / "metrics.md").read_text()
RULES = ROOT / "docs" / "examples" / "liput-alerts.yml"
LABELS = {"## Of a session": ("session",), "## Of the PC": ()}
"""Labels that every metric below a heading has."""


def test_every_metric_is_on_the_page_with_its_labels() -> None:
    found = {}
    for heading, labels in LABELS.items():
        for name, (more, text) in rows(section(PAGE, heading)).items():
            found[name] = (*labels, *re.findall(r"`(\w+)`", more))
            assert text.startswith(METRICS[name][0])
    assert found == {name: labels for name, (_help, labels) in METRICS.items()}


def test_the_names_are_as_prometheus_wants_them() -> None:
    for name, (_help, labels) in METRICS.items():
        assert re.fullmatch(r"liput_[a-z]+(_[a-z]+)*", name)
        assert ROOM not in labels


def test_the_example_rules_are_of_metrics_and_labels_that_there_are() -> None:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    assert len({rule["alert"] for rule in group["rules"]}) == len(group["rules"]) > 8
    for rule in group["rules"]:
        names = set(re.findall(r"\bliput_\w+", rule["expr"]))
        assert names, rule["alert"]
        assert names <= METRICS.keys(), rule["alert"]
        labels = {ROOM, *(label for name in names for label in METRICS[name][1])}
        matched = re.findall(r"(\w+)=~?\"", rule["expr"])
        listed = re.findall(r"(?:on|group_left|by) \(([\w, ]*)\)", rule["expr"])
        shown = re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))
        used = {*matched, *shown, *(word for words in listed for word in words.split(", ") if word)}
        assert used <= labels, rule["alert"]
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert "summary" in rule["annotations"]
