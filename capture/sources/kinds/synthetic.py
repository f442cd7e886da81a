"""`synthetic`: a generated talk, picture and voice, for PCs without devices."""

from capture.source import AudioSource, VideoSource
from capture.sources.source_kind import ChosenSource, SourceContext, SourceKind, nothing_follows


def picture(word: str, context: SourceContext) -> ChosenSource[VideoSource]:
    """Return the picture; raises UsageError if something follows the word."""
    from capture.synthetic.video import SyntheticVideo

    profile = context.profile
    source = SyntheticVideo(profile.width, profile.height, profile.fps, context.pace, context.stop)
    return ChosenSource(source.name, source, nothing_follows(word))


def sound(word: str, context: SourceContext) -> ChosenSource[AudioSource]:
    """Return the voice; raises UsageError if something follows the word."""
    from capture.synthetic.audio import SyntheticAudio

    source = SyntheticAudio(context.pace, context.stop, context.profile.audio_channels)
    return ChosenSource(source.name, source, nothing_follows(word))


KIND = SourceKind(picture, sound, nothing_follows)
