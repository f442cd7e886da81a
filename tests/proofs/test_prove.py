"""Words that `./run prove` does not know are refused with what there is, before anything is run."""

import sys
from datetime import datetime
from pathlib import Path

import pytest

from tests.proofs import prove


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("load", "--only", "20 %"), "load has no parts; --only is for soak and uplink"),
        (("soak", "--only", "there"), "there is no part there; there are rig, here, media"),
        (("uplink", "--only", "1/2/3"), "there is no link 1/2/3; there are "),
        (("lod",), "invalid choice: 'lod'"),
    ],
)
def test_a_part_that_is_not_there_is_refused(
    words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["prove", *words])
    with pytest.raises(SystemExit) as ended:
        prove.main()
    assert said in f"{ended.value.code} {capsys.readouterr().err}"


def test_the_newest_figures_of_a_kind_are_kept_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prove, "FOLDER", tmp_path)
    for name in ("2026-11-01-soak-here", "2026-11-02-soak-rig", "2026-11-01-soak", "README"):
        (tmp_path / f"{name}.json").write_text("{}")
    path = prove.kept(datetime(2026, 11, 30, 9, 30).astimezone(), "soak-here", "[]")
    assert path.read_text() == "[]"
    assert {file.name for file in tmp_path.iterdir()} == {
        "2026-11-30-soak-here.json", "2026-11-02-soak-rig.json", "2026-11-01-soak.json", "README.json"
    }  # fmt: skip
