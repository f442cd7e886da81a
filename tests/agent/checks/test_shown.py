"""What has to be read before it happens can be read wherever checks are shown."""

import json
from datetime import UTC, datetime

import pytest

from agent.checks.check import Check, Progress
from agent.checks.history import Checked
from agent.checks.result import Code, Verdict, found
from agent.checks.shown import shown
from config.locale.lookup import Words

CHECK = Check("uplink", Words("Kecepatan internet", "Uplink"), lambda _situation, _tell: [])
CODES = {
    "slow": Code(Verdict.WARNING, Words("Lambat", "Slow"), Words("Pakai kabel", "Use a cable")),
    "off": Code(Verdict.FAILURE, Words("Mati", "Off"), Words("Nyalakan", "Switch it on")),
    "cancelled": Code(Verdict.UNCHECKED, Words("Dibatalkan", "Cancelled")),
}
COST = Progress(share=0.0, doing=Words("akan memakai 100 MB", "will use 100 MB"), notice=True)
GOES_ON = Progress(share=0.5, doing=Words("mengirim", "sending"))


@pytest.mark.parametrize(
    ("language", "lines"),
    [
        ("id", ["Kecepatan internet: akan memakai 100 MB", "!  Kecepatan internet: Lambat", "-> Pakai kabel"]),
        ("en", ["Uplink: will use 100 MB", "!  Uplink: Slow", "-> Use a cable"]),
    ],
)
def test_in_a_pipe_it_is_a_line_before_the_result(
    capsys: pytest.CaptureFixture[str], language: str, lines: list[str]
) -> None:
    with shown(language, as_json=False) as show:
        show.progress(CHECK, COST)
        show.progress(CHECK, GOES_ON)
        show.ended(CHECK, [found(CODES, "slow", "uplink")])
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == lines


def test_with_json_it_stands_beside_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    checked = Checked(at=datetime(2026, 11, 26, tzinfo=UTC), results=[found(CODES, "slow", "uplink")])
    with shown("en", as_json=True) as show:
        show.progress(CHECK, COST)
        show.progress(CHECK, GOES_ON)
        show.ended(CHECK, checked.results)
        show.verdict(checked)
    said = capsys.readouterr()
    assert said.err == "Uplink: will use 100 MB\n"
    assert json.loads(said.out)["checks"][0]["reason"] == "Slow"


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (["slow"], "READY; warnings: 1"),
        (["slow", "off", "off"], "NOT READY; to be mended: 2"),
        ([], "READY"),
        (["off", "cancelled", "cancelled"], "CANCELLED: 2 not looked at"),
    ],
)
def test_the_last_line_is_the_answer(capsys: pytest.CaptureFixture[str], codes: list[str], words: str) -> None:
    results = [found(CODES, code, f"x: {number}") for number, code in enumerate(codes)]
    with shown("en", as_json=False) as show:
        show.verdict(Checked(at=datetime(2026, 11, 26, tzinfo=UTC), results=results))
    assert capsys.readouterr().out.splitlines()[-1] == words
