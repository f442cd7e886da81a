import re
from datetime import datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.model.names import (
    LONGEST_QUOTE,
    NAME,
    SLUG_LENGTH,
    one_line,
    package_name,
    quoted,
    slug,
    start_in_name,
    utf8_safe,
)
from tests.support.archives import STARTED, WIB

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Rapat Senat", "rapat-senat"),
        ("  Rapat: Senat / 2026  ", "rapat-senat-2026"),
        ("../../etc/passwd", "etc-passwd"),
        ("Café Ødegård Łódź straße", "cafe-odegard-lodz-strasse"),
        ("Wisuda 🎓🎉 ke-42", "wisuda-ke-42"),
        ("\ufb01nal \uff12\uff10\uff12\uff16", "final-2026"),  # a ligature, digits of full width
        ("🎓", "sesi"),
        ("", "sesi"),
        ("///", "sesi"),
        ("会議", "sesi"),
        ("a\nb\x1b[31mc\0d", "a-b-31mc-d"),
        ("x" * 300, "x" * SLUG_LENGTH),
        ("kata " * 60, "-".join(["kata"] * 12)),
        ("\udcff", "sesi"),
    ],
)
def test_slug(title: str, expected: str) -> None:
    assert slug(title) == expected


@given(ANY_TEXT)
def test_a_slug_is_safe_whatever_the_title(title: str) -> None:
    made = slug(title)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", made)
    assert len(made) <= SLUG_LENGTH
    assert slug(made) == made


@given(ANY_TEXT, st.datetimes(timezones=st.just(WIB)).filter(lambda time: time.year >= 1000), st.uuids())
def test_a_package_name_is_a_safe_file_name(title: str, started_at: datetime, uuid: UUID) -> None:
    assert NAME.fullmatch(package_name(title, started_at, uuid))


def test_a_package_name_says_local_date_title_and_uuid() -> None:
    uuid = UUID("3f2a91c0-0000-4000-8000-000000000000")
    assert package_name("Rapat Senat", STARTED, uuid) == "2026-11-24_0900_rapat-senat_3f2a91c0"


@pytest.mark.parametrize(
    ("at", "began"),
    [
        ("2026-11-24_0900", "2026-11-24T09:00"),
        ("2026-13-40_0900", None),
        ("2026-11-24_2500", None),
        ("9999-12-31_2359", None),
        ("0000-01-01_0000", None),
    ],
)
def test_a_name_says_when_a_session_began_where_that_is_a_time(at: str, began: str | None) -> None:
    found = start_in_name(f"{at}_rapat_3f2a91c0")
    assert (found and f"{found:%Y-%m-%dT%H:%M}") == began
    assert found is None or found.tzinfo
    assert start_in_name(at) is None


@given(ANY_TEXT)
def test_one_line_is_one_printable_line(text: str) -> None:
    line = one_line(text)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", line)
    assert len(line.splitlines()) <= 1
    assert line.encode().decode() == line == line.strip()


@given(ANY_TEXT)
def test_what_is_quoted_is_one_line_and_not_long(text: str) -> None:
    line = quoted(text)
    assert line == one_line(line)
    assert len(line) <= LONGEST_QUOTE
    assert line.removesuffix("…") in one_line(text)
    assert quoted("a" * 50, 40) == "a" * 39 + "…"


@given(ANY_TEXT)
def test_storable_changes_only_what_cannot_be_stored(text: str) -> None:
    stored = utf8_safe(text)
    assert len(stored) == len(text)
    assert all(ours == theirs or ours == "\ufffd" for ours, theirs in zip(stored, text, strict=True))
    assert stored.encode().decode() == stored
