"""Every trouble of a session, and every fault of a device, is said in both languages, with what to do."""

import re

import pytest

from agent.health.alarm import (
    DAMAGED,
    END_SENTENCES,
    KILLED,
    ROLES,
    SENTENCES,
    SILENT,
    WORDS,
    end_sentence,
    is_grave,
    past_sentence,
    subject_name,
    trouble_sentence,
    without_recording,
)
from config.locale.lookup import LocalizedText
from devices.health.faults import PLUG_FAULTS, Fault
from devices.model.device import DeviceKind
from devices.roles.assignment import MICROPHONE, VIDEO_ROLES
from recorder.live.kind import DestinationFault
from recorder.model.session_faults import ENDED_BY, HARMLESS_KINDS, SOURCE_RECOVERED, WARNING_KINDS, kind_of_fault
from tests.support.pages import CLI, rows, section

DEGRADING = sorted(rows(section(CLI, "### Events")).keys() - HARMLESS_KINDS)
OWN = (KILLED, SILENT, DAMAGED)


@pytest.mark.parametrize("kind", [*DEGRADING, *OWN, *map(kind_of_fault, Fault)])
def test_every_trouble_has_a_sentence_in_both_languages(kind: str) -> None:
    words = trouble_sentence(kind, "podium")
    assert words != WORDS["unknown"].filled({"subject": subject_name(kind, "podium").indonesian}), (
        f"{kind} has no sentence"
    )
    assert kind in SENTENCES
    assert words.indonesian != words.english


def test_nothing_is_said_that_nobody_tells() -> None:
    of_devices = map(kind_of_fault, PLUG_FAULTS)  # which the page says of what is plugged in
    assert {key.partition(":")[0] for key in SENTENCES} == {*DEGRADING, *OWN, *WARNING_KINDS, *of_devices}
    reasons = {key.partition(":")[2] for key in SENTENCES if key.startswith("destination-lost:")}
    assert reasons <= set(DestinationFault)


@pytest.mark.parametrize("key", SENTENCES)
def test_a_sentence_is_whole_and_says_what_to_do(key: str) -> None:
    for text in SENTENCES[key]:
        assert re.fullmatch(r"[^{}]*(\{subject\}[^{}]*)*[.]", text), text
        assert ": " in text, "what happened, a colon, what to do"
        assert len(text) <= 140
    assert len({"{subject}" in text for text in SENTENCES[key]}) == 1, "both name it, or neither"


@pytest.mark.parametrize("key", SENTENCES)
def test_where_nothing_is_recorded_nobody_reads_that_it_goes_on(key: str) -> None:
    words, none = SENTENCES[key], without_recording(SENTENCES[key])
    for text in none:
        assert not re.search(r"\. (Rekaman|The (main )?recording|It still)", text)
        assert text.endswith(".")
    is_said = {before != after for before, after in zip(words, none, strict=True)}
    assert len(is_said) == 1, "both say it, or neither"
    assert without_recording(words, WORDS["not-yet"]) == (
        LocalizedText(*map(" ".join, zip(none, WORDS["not-yet"], strict=True))) if any(is_said) else words
    )


@pytest.mark.parametrize("words", [*END_SENTENCES.values(), *ROLES.values()])
def test_what_is_over_and_what_things_are_called_is_said_in_both_languages(words: LocalizedText) -> None:
    assert all(text.strip() for text in words)
    assert words.indonesian != words.english


def test_a_trouble_that_another_event_ends_may_be_said_to_be_over() -> None:
    ended = {f"source-{fault}" for fault in Fault} | set(ENDED_BY)
    assert END_SENTENCES.keys() <= ended
    assert end_sentence("source-lost", "podium") == LocalizedText("Kamera podium kembali.", "Podium camera is back.")
    assert end_sentence("source-frozen", "podium") == LocalizedText(
        "Kamera podium pulih.", "Podium camera has recovered."
    )
    assert end_sentence("session-failed", "Rapat") is None
    assert SOURCE_RECOVERED not in SENTENCES


def test_every_role_has_a_name_and_other_things_their_own() -> None:
    assert set(ROLES) == {*VIDEO_ROLES, MICROPHONE, DeviceKind.CAMERA}
    assert trouble_sentence("source-lost", "podium").indonesian == (
        "Kamera podium terlepas: colokkan kembali. Rekaman tetap berjalan."
    )
    assert trouble_sentence("source-lost", "Rig Webcam").english.startswith("Rig Webcam was unplugged")
    assert trouble_sentence("source-frozen", "synthetic 2").english.startswith("Test source is frozen")
    assert "no picture:" in trouble_sentence("conference-lost", "camera").english
    assert "podium" in trouble_sentence("destination-lost", "podium").english, "a destination of that name is no camera"


def test_a_screen_is_no_matter_of_cables_and_light() -> None:
    assert trouble_sentence("source-slow", "Screen :0").english == (
        "Screen :0 sends too few frames: this PC is too busy, close other programs."
    )
    assert trouble_sentence("source-missing", "Screen :0", "lost").english.startswith(
        "Screen :0 sends no picture: log out"
    )
    assert past_sentence("source-lost", "Screen :0") == LocalizedText(
        "Screen :0 tidak memberi gambar.", "Screen :0 sends no picture."
    )


def test_what_it_happened_to_is_named_whatever_it_is_called() -> None:
    assert trouble_sentence("source-lost", "{podium}").indonesian.startswith("{podium} terlepas: colokkan kembali.")
    assert "kunci siarannya salah" in trouble_sentence("destination-lost", "youtube", "rejected").indonesian
    assert "internet" in trouble_sentence("destination-lost", "youtube", "unheard-of").english
    assert "Liput" in trouble_sentence("of-a-newer-recorder", "podium").english


def test_of_what_is_over_is_told_what_happened_and_no_advice() -> None:
    assert past_sentence("source-lost", "podium") == LocalizedText(
        "Kamera podium terlepas.", "Podium camera was unplugged."
    )
    assert past_sentence("storage-full", "/mnt/a: b") == LocalizedText(
        "Disk /mnt/a: b penuh.", "The disk of /mnt/a: b is full."
    )
    assert past_sentence("interrupted", "") is None


def test_what_endangers_the_recording_is_told_from_what_does_not() -> None:
    grave = {kind for kind in (*DEGRADING, *OWN) if is_grave(kind)}
    assert {"session-failed", "start-failed", "disk-critical", "storage-full", "part-left", "parts-apart"} <= grave
    assert {KILLED, SILENT} <= grave
    assert DAMAGED not in grave, "nothing that is recorded now"
    assert {"source-missing", "source-lost", "source-silent", "source-busy"} <= grave, "all of a source is not recorded"
    assert not [kind for kind in grave if kind.startswith(("source-no-signal", "source-hum", "destination-", "sound-"))]
