"""A sound child that died, and ALSA names of inputs with their nodes."""

import sys
from pathlib import Path

import pytest

from capture.sound import child_process
from capture.sound.child_process import SoundChild, SoundRequest, card_and_device, card_number, pcm_node


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in place of the kernel's list of cards."""
    monkeypatch.setattr(child_process, "CARDS", tmp_path)
    (tmp_path / "Mixer").symlink_to("card3")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("hw:CARD=Mixer,DEV=1", ("Mixer", 1)),
        ("hw:CARD=Mixer", ("Mixer", 0)),
        ("hw:CARD=Mixer,DEV=", None),
        ("plughw:CARD=Mixer,DEV=1", None),
        ("hw:3,1", None),
        ("MS2109: USB Audio (hw:3,0)", None),
    ],
)
def test_what_a_name_says(name: str, found: tuple[str, int] | None) -> None:
    assert card_and_device(name) == found


def test_the_node_is_that_of_the_number_the_card_has_now(cards: Path) -> None:
    assert pcm_node("hw:CARD=Mixer,DEV=1") == "/dev/snd/pcmC3D1c"
    (cards / "Mixer").unlink()
    (cards / "Mixer").symlink_to("card0")
    assert (card_number("Mixer"), pcm_node("hw:CARD=Mixer,DEV=0")) == ("0", "/dev/snd/pcmC0D0c")


@pytest.mark.usefixtures("cards")
def test_a_card_that_has_gone_has_no_number_and_a_node_that_is_not_there() -> None:
    node = pcm_node("hw:CARD=Gone,DEV=0")
    assert node is not None
    assert not Path(node).exists()
    assert card_number("Gone") is None


def test_what_is_no_card_has_no_node() -> None:
    assert pcm_node("pulse") is None


def test_a_child_that_died_before_it_read_what_it_was_asked_is_closed_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")
    child = SoundChild(SoundRequest("nothing", 1, 48_000))
    assert child.wait(10)
    child.close()
    assert (child.status, child.is_deaf) == (0, True)
