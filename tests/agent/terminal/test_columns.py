"""Lists that fit the terminal."""

import os

import pytest

from agent.terminal.columns import Column, fit_columns

COLUMNS = (Column("id"), Column("event", least=6), Column("unit", least=4, is_spare=True))
ROWS = [("3f2a91c0", "Seminar Nasional Teknologi Informasi", "Fakultas Teknik"), ("77b0c2e1", "学术会议", "Biro")]


def lines(monkeypatch: pytest.MonkeyPatch, width: int | None) -> list[str]:
    monkeypatch.setattr("sys.stdout.isatty", lambda: width is not None)
    monkeypatch.setattr(
        "shutil.get_terminal_size", lambda **_: os.terminal_size((width or 0, 24))
    )  # pytest asks as well
    return list(fit_columns(COLUMNS, ROWS))


def test_where_there_is_no_terminal_nothing_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    heading, first, second = lines(monkeypatch, None)
    assert heading.split() == ["id", "event", "unit"]
    assert first == "3f2a91c0  Seminar Nasional Teknologi Informasi  Fakultas Teknik"
    assert second.endswith("Biro")


@pytest.mark.parametrize("width", [60, 40, 30])
def test_what_may_be_narrower_is_cut_where_it_is_wide(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    from rich.cells import cell_len

    found = lines(monkeypatch, width)
    assert max(map(cell_len, found)) <= width
    assert "…" in found[1]
    assert found[1].startswith("3f2a91c0  Semi")


def test_where_that_is_not_enough_columns_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    found = lines(monkeypatch, 17)
    assert found == ["id        event", "3f2a91c0  Semin…", "77b0c2e1  学术 …"]


def test_an_empty_list_has_its_heading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert list(fit_columns(COLUMNS, [])) == ["id  event  unit"]
