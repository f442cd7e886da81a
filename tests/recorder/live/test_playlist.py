from recorder.live.hls import Playlist, Segment

BEGAN = "2026-11-25T21:08:26.827+00:00"


def test_what_is_written_is_read_again() -> None:
    playlist = Playlist(
        [Segment(41, 2.0, BEGAN), Segment(42, 1.967, BEGAN, is_discontinuity=True)], discontinuities=3, has_ended=True
    )
    assert Playlist.read(playlist.text()) == playlist


def test_numbers_and_discontinuities_go_on_where_segments_are_taken_out() -> None:
    playlist = Playlist()
    for number in range(10, 20):
        playlist.add(Segment(number, 2.0, is_discontinuity=number in (13, 17)))
    assert [segment.number for segment in playlist.shorten(6)] == [10, 11, 12, 13]
    lines = playlist.text().splitlines()
    assert "#EXT-X-MEDIA-SEQUENCE:14" in lines
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:1" in lines
    assert lines.count("#EXT-X-DISCONTINUITY") == 1
    assert lines[-1] == "live-19.ts"


def test_the_target_is_the_longest_that_ever_was() -> None:
    playlist = Playlist()
    for number, duration_s in enumerate((2.0, 4.6, 1.0, 1.0)):
        playlist.add(Segment(number, duration_s))
    playlist.shorten(2)
    assert "#EXT-X-TARGETDURATION:5" in playlist.text()


def test_what_others_wrote_is_read_as_far_as_it_is_ours() -> None:
    text = "#EXTM3U\n#EXT-X-TARGETDURATION:x\n#EXTINF:2.0,\n#EXT-X-PROGRAM-DATE-TIME:2026-11-25T21:08:26.827+0700\n"
    found = Playlist.read(text + "live-7.ts\n#EXTINF:2.0,\nanother.ts\n\xff\n")
    assert found.segments == [Segment(7, 2.0, "2026-11-25T21:08:26.827+07:00")]
