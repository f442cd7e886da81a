"""Where packets belong when the picture becomes one of another form."""

from fractions import Fraction

from av.stream import Stream

from recorder.packet import EncodedPacket, Track, TrackId
from recorder.storing.tee import Forms

TRACKS = (Track.VIDEO, Track.AUDIO, "sound:podium")


def picture(at_s: float, form: int) -> EncodedPacket:
    pts = round(at_s * 90_000)
    return EncodedPacket(Track.VIDEO, b"x", pts, pts, 3000, Fraction(1, 90_000), is_keyframe=True, form=form)


def sound(at_s: float, track: TrackId = Track.AUDIO) -> EncodedPacket:
    pts = round(at_s * 48_000)
    return EncodedPacket(track, b"x", pts, pts, 1024, Fraction(1, 48_000), is_keyframe=True)


def forms() -> Forms:
    templates: dict[TrackId, Stream] = {}
    return Forms(0, TRACKS, lambda _: templates)


def test_before_a_change_everything_belongs_together() -> None:
    it = forms()
    assert not it.changes_with(picture(0, 0))
    assert not it.changes_with(sound(0))
    assert it.has_caught_up
    assert all(it.belongs(packet, 0) for packet in (picture(1, 0), sound(0), sound(9, TRACKS[2])))
    assert not it.caught_up_with(sound(9))


def test_sound_is_cut_where_the_picture_changes_by_its_own_times() -> None:
    it = forms()
    assert it.changes_with(picture(5, 1))
    assert (it.belongs(picture(5, 1), 1), it.belongs(picture(5, 1), 0), it.belongs(picture(4.9, 0), 0)) == (
        True, False, True,
    )  # fmt: skip
    assert [it.belongs(sound(at_s), 0) for at_s in (4.0, 4.99, 5.0, 5.1)] == [True, True, False, False]
    assert [it.belongs(sound(at_s), 1) for at_s in (4.0, 4.9, 4.96, 5.0)] == [False, False, True, True]
    assert not it.changes_with(picture(5.1, 1))


def test_what_was_before_is_over_when_every_track_of_sound_has_come_so_far() -> None:
    it = forms()
    it.changes_with(picture(5, 1))
    is_over_at_once = it.has_caught_up
    came = [sound(4.9), sound(5.1), sound(4.9, TRACKS[2]), sound(5.0, TRACKS[2]), sound(5.2)]
    told = [it.caught_up_with(packet) for packet in came]
    assert (is_over_at_once, told, it.has_caught_up) == (False, [False, False, False, True, False], True)


def test_where_there_are_no_other_forms_nothing_changes() -> None:
    it = Forms(0, TRACKS, None)
    assert not it.changes_with(picture(5, 1))
    assert it.now == 0
