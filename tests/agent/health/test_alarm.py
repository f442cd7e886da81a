"""Every trouble of a session, and every fault of a device, is said in both languages, with what to do."""

import re

import pytest

from agent.health import alarm
from config.locale.lookup import LocalizedText
from devices.health.faults import PLUG_FAULTS, Fault
from devices.model.device import DeviceKind
from devices.roles.assignment import MICROPHONE, VIDEO_ROLES
from recorder.live.kind import DestinationFault
from recorder.model.session_faults import ENDED_BY, HARMLESS_KINDS, WARNING_KINDS, kind_of_fault
from tests.support.pages import CLI, rows, section

DEGRADING = sorted(rows(section(CLI, "### Events")).keys() - HARMLESS_KINDS)
OWN = (alarm.KILLED, alarm.SILENT, alarm.DAMAGED)


def test_every_trouble_has_a_sentence_and_nothing_is_said_that_nobody_tells() -> None:
    of_devices = map(kind_of_fault, PLUG_FAULTS)  # which the page says of what is plugged in
    assert {key.partition(":")[0] for key in alarm.SENTENCES} == {*DEGRADING, *OWN, *WARNING_KINDS, *of_devices}
    assert {*map(kind_of_fault, Fault)} <= alarm.SENTENCES.keys()
    reasons = {key.partition(":")[2] for key in alarm.SENTENCES if key.startswith("destination-lost:")}
    assert reasons <= set(DestinationFault)
    assert alarm.END_SENTENCES.keys() <= {f"source-{fault}" for fault in Fault} | set(ENDED_BY)
    assert set(alarm.ROLES) == {*VIDEO_ROLES, MICROPHONE, DeviceKind.CAMERA}
    for words in (*alarm.SENTENCES.values(), *alarm.END_SENTENCES.values(), *alarm.ROLES.values()):
        assert words.indonesian.strip() != words.english.strip()


def test_a_sentence_is_whole_says_what_to_do_and_what_is_recorded_where_that_is_so() -> None:
    for key, words in alarm.SENTENCES.items():
        for text in words:
            assert re.fullmatch(r"[^{}]*(\{subject\}[^{}]*)*[.]", text), text
            assert ": " in text, "what happened, a colon, what to do"
            assert len(text) <= 140
        assert len({"{subject}" in text for text in words}) == 1, key
        none = alarm.without_recording(words)
        for text in none:
            assert not re.search(r"\. (Rekaman|The (main )?recording|It still)", text)
            assert text.endswith(".")
        is_said = {before != after for before, after in zip(words, none, strict=True)}
        assert len(is_said) == 1, f"both languages say it of {key}, or neither"
        before_it = LocalizedText(*map(" ".join, zip(none, alarm.WORDS["not-yet"], strict=True)))
        assert alarm.without_recording(words, alarm.WORDS["not-yet"]) == (before_it if any(is_said) else words)


@pytest.mark.parametrize(
    ("kind", "subject", "reason", "said"),
    [
        ("source-lost", "podium", None, "Podium camera was unplugged: plug it in again. The recording goes on."),
        ("source-lost", "Rig {Webcam}", None, "Rig {Webcam} was unplugged: "),
        ("source-frozen", "synthetic 2", None, "Test source is frozen"),
        ("source-missing", "Screen :0", "lost", "Screen :0 sends no picture: log out"),
        ("destination-lost", "podium", "unheard-of", "podium is not live"),
        ("destination-lost", "youtube", "rejected", "youtube rejects the stream: its key is wrong"),
        ("of-a-newer-recorder", "podium", None, "Something is wrong with podium: look at Liput's page."),
    ],
)
def test_what_it_happened_to_is_named_as_people_call_it(kind: str, subject: str, reason: str | None, said: str) -> None:
    assert alarm.trouble_sentence(kind, subject, reason).english.startswith(said)


def test_of_what_is_over_is_told_what_happened_and_no_advice() -> None:
    assert alarm.end_sentence("source-lost", "podium") == LocalizedText(
        "Kamera podium kembali.", "Podium camera is back."
    )
    assert alarm.end_sentence("session-failed", "Rapat") is None
    assert alarm.incident("storage-full", "/mnt/a: b") == ("Disk penuh (/mnt/a: b).", "Disk full (/mnt/a: b).")
    assert alarm.incident("source-lost", "podium").english == "Sent no picture or sound (Podium camera)."
    assert alarm.remedy("source-silent", "a: b").english.startswith("Check its cable and power, then unplug it")


def test_what_endangers_the_recording_is_told_from_what_does_not() -> None:
    grave = {kind for kind in (*DEGRADING, *OWN) if alarm.is_grave(kind)}
    assert {"session-failed", "start-failed", "disk-critical", "storage-full", "part-left", "parts-apart"} <= grave
    assert {alarm.KILLED, alarm.SILENT} <= grave
    assert alarm.DAMAGED not in grave, "nothing that is recorded now"
    assert {"source-missing", "source-lost", "source-silent", "source-busy"} <= grave, "all of a source is not recorded"
    assert not [kind for kind in grave if kind.startswith(("source-no-signal", "source-hum", "destination-", "sound-"))]
