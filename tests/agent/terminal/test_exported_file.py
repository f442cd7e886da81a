"""Tables for spreadsheets."""

import csv
import io

import pytest

from agent.terminal.exported_file import csv_text
from devices.health.log_line import LogLevel


def read(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r"])
def test_no_text_of_a_table_is_a_formula(sign: str) -> None:
    assert read(csv_text(["name"], [[f"{sign}HYPERLINK(1)"]])) == [["name"], [f"'{sign}HYPERLINK(1)"]]


def test_what_is_no_formula_is_as_it_was() -> None:
    row = ["Rapat = senat", 'a "b", c', "dua\nbaris", -3, 2.5, None, LogLevel.WARN]
    assert read(csv_text(["x"] * 7, [row]))[1] == ["Rapat = senat", 'a "b", c', "dua\nbaris", "-3", "2.5", "", "warn"]


def test_it_begins_with_the_mark_of_its_encoding_and_names_that_are_none_are_replaced() -> None:
    assert csv_text(["ruang"], [["é\udcff"]]) == b"\xef\xbb\xbfruang\r\n\xc3\xa9?\r\n"
