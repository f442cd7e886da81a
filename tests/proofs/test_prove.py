"""Words that `./run prove` does not know are refused with what there is, before anything is run."""

import sys

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
