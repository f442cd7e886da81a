"""`synthetic`: a talk that never took place, picture and voice, for whoever has no devices."""

from capture.chosen import ChosenSource
from capture.source import AudioSource, VideoSource
from capture.source_kind import SourceKind, Terms, nothing_follows


def picture(word: str, terms: Terms) -> ChosenSource[VideoSource]:
    """Return the picture."""
    from capture.synthetic.video import SyntheticVideo

    wanted = terms.wanted
    source = SyntheticVideo(wanted.width, wanted.height, wanted.rate, terms.pace, terms.stop)
    return ChosenSource(source.name, source, nothing_follows(word))


def sound(word: str, terms: Terms) -> ChosenSource[AudioSource]:
    """Return the voice."""
    from capture.synthetic.audio import SyntheticAudio

    source = SyntheticAudio(terms.pace, terms.stop, terms.wanted.channels)
    return ChosenSource(source.name, source, nothing_follows(word))


KIND = SourceKind(picture, sound, nothing_follows)
