"""Every metric: its name, what kind it is, what it says, and by which labels. docs/metrics.md explains them to people.

A name is never changed: dashboards and alert rules are made of them.
"""

from collections.abc import Mapping
from typing import NamedTuple

ROOM = "room"
"""The label that every metric has: `[general] room`."""
_SESSION = ("session",)
_DESTINATION = (*_SESSION, "destination")


class Metric(NamedTuple):
    """What a metric says, and by which labels beside ROOM."""

    help: str
    labels: tuple[str, ...] = ()
    is_counter: bool = False


def _counter(text: str, labels: tuple[str, ...]) -> Metric:
    return Metric(text, labels, is_counter=True)


METRICS: Mapping[str, Metric] = {
    "liput_info": Metric("1; the version of Liput that runs", ("version",)),
    "liput_session_info": Metric("1 for each session that runs; its title", (*_SESSION, "title")),
    "liput_session_answers": Metric("Whether the session's recorder answers", _SESSION),
    "liput_session_state": Metric("1 for the state that the session is in, 0 for the others", (*_SESSION, "state")),
    "liput_session_elapsed_seconds": Metric("How long the session records", _SESSION),
    "liput_session_troubles": Metric("What is wrong with the session now, by kind of event", (*_SESSION, "kind")),
    "liput_recording_media_seconds": Metric("Seconds of media that were found on disk", _SESSION),
    "liput_recording_bytes": Metric("Bytes of the recording that were found on disk", _SESSION),
    "liput_recording_frames_total": _counter("Pictures that were encoded", _SESSION),
    "liput_recording_dropped_frames_total": _counter("Pictures that came and were not encoded", _SESSION),
    "liput_recording_repeated_frames_total": _counter("Pictures put in because the source gave none", _SESSION),
    "liput_recording_still_frames_total": _counter("Pictures not encoded because nothing had changed", _SESSION),
    "liput_recording_fps": Metric("Pictures of the program in a second, over the last seconds", _SESSION),
    "liput_recording_left_seconds": Metric("How long the disk lasts at this rate", _SESSION),
    "liput_recording_left_out_frames_total": _counter("Pictures left out because this PC does not keep up", _SESSION),
    "liput_overload_step": Metric(
        "1 for each step that is in force because this PC does not keep up, 0 for the others", (*_SESSION, "step")
    ),
    "liput_overload_behind_seconds": Metric("How many seconds of pictures wait to be encoded", _SESSION),
    "liput_overload_busy_ratio": Metric("Which part of the time the picture's thread works", _SESSION),
    "liput_sound_level_dbfs": Metric("Peak level of the program's sound", (*_SESSION, "channel")),
    "liput_sound_input_level_dbfs": Metric("Peak level of one input of sound", (*_SESSION, "input", "channel")),
    "liput_sound_input_muted": Metric("Whether an input of sound is muted", (*_SESSION, "input")),
    "liput_destination_state": Metric("1 for the state that the destination is in", (*_DESTINATION, "state", "reason")),
    "liput_destination_dropped_frames_total": _counter("Pictures that the destination was not sent", _DESTINATION),
    "liput_destination_reconnects_total": _counter("How often it was connected anew", _DESTINATION),
    "liput_destination_backlog_seconds": Metric("How far viewers' newest picture is behind", _DESTINATION),
    "liput_stream_bytes_per_second": Metric(
        "Data rate of the picture that live destinations get", (*_SESSION, "encode")
    ),
    "liput_device_health": Metric(
        "1 for the health that a device of a session is in", (*_SESSION, "device", "name", "role", "state")
    ),
    "liput_disk_free_bytes": Metric("Bytes that are free where sessions go", ("path",)),
    "liput_disk_size_bytes": Metric("Bytes of that disk", ("path",)),
    "liput_archive_packages": Metric("Packages in the archive", ("path",)),
    "liput_copies_waiting": Metric("Packages that wait to be copied to a place", ("target",)),
    "liput_copies_blocked": Metric("1 where something keeps every copy from a place", ("target", "reason")),
    "liput_check_timestamp_seconds": Metric("When the room was checked last", ()),
    "liput_check_ready": Metric("Whether it was ready then", ()),
    "liput_uplink_bytes_per_second": Metric("What the uplink carried when it was measured last", ("direction",)),
    "liput_uplink_needed_bytes_per_second": Metric("What the session needed of it then", ()),
    "liput_uplink_rtt_seconds": Metric("The way there and back then, with nothing else on it", ()),
    "liput_uplink_timestamp_seconds": Metric("When that was", ()),
    "liput_daemon_part_stands": Metric("1 for a part of the daemon that hangs, 0 for the others", ("part",)),
    "liput_scrape_missing": Metric("1 for what did not answer in time, and is missing here", ("what",)),
    "liput_scrape_seconds": Metric("How long it took to find all of this out", ()),
}
"""In the order in which they are given."""
