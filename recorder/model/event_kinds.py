"""What each kind of event of a session tells: whom it is about, and its facts. `./run docs` makes a page of it.

Which of them degrade a session, and which others end what they tell of, says recorder/troubles.py.
"""

from collections.abc import Mapping
from typing import NamedTuple

from devices.health.faults import FAULTS, OF_ITS_PLACE, Fault

TOLD_BY_TRACKS: Mapping[str, str] = {Fault.LOST: "source-lost", Fault.NO_DATA: "source-silent"}
"""Faults that the tracks notice by themselves, and the kinds of their events: they say what stands in its place."""


def kind_of(fault: str) -> str:
    """Return the kind of event by which a session tells that a fault has begun."""
    return TOLD_BY_TRACKS.get(fault, f"source-{fault}")


RECOVERED = "source-recovered"
WARNINGS = frozenset(
    kind_of(fault) for fault, meaning in FAULTS.items() if not meaning.loses and fault not in OF_ITS_PLACE
)
"""Kinds of faults by which the recording loses nothing; those of its place no watch finds, so no session tells them."""


class Told(NamedTuple):
    """Kinds of events that tell the same: their subject, and their `detail`, in Markdown."""

    kinds: tuple[str, ...]
    subject: str
    detail: str


TOLD = (
    Told(
        ("session-live",),
        "package name",
        "`title`, `picture`, `sound`, `destinations`, `request` (the UUID of its request, or null), `clock_ns`, "
        "`folder` (its work folder), the form; `still_rate`: pictures a second that are encoded of what stands "
        "still, null without `[video] adaptive_rate`; `stream_encode` and `stream_why`: what live destinations "
        "get, also those that are added later, as in the status line; `encoder`, `encoder_why`, `encoder_reason`: "
        "what encodes the picture, as in the status line",
    ),
    Told(
        ("session-armed",),
        "title",
        "as `session-live` without `clock_ns` and `folder`: sources are open, nothing is written",
    ),
    Told(
        ("start-failed",),
        "title",
        "`hint`: it could not begin, and stays armed",
    ),
    Told(
        ("session-stopping",),
        "package name",
        "somebody, or something, ends it; nobody goes on with it from here on",
    ),
    Told(
        ("session-ended",),
        "title",
        "`media_time_s`, `frames`, with `[video] adaptive_rate` also `still`, with sound also `loudness_lufs`, "
        "`loudness_range_lu` (EBU R128), `drift_ppm` by input",
    ),
    Told(
        ("session-failed",),
        "`session`",
        "`hint`",
    ),
    Told(
        ("session-resumed",),
        "package name",
        "`part`, `offset_s`: media time at which it goes on, `missing_s`: after its recorder was killed",
    ),
    Told(
        ("session-recovered",),
        "package name",
        "`parts` (numbers), `gaps` as in `recording.json`; the last line of a recovered log",
    ),
    Told(
        ("recording-failed",),
        "`session`",
        "`hint`: the disk does not take it",
    ),
    Told(
        ("recording-stalled",),
        "folder",
        "`media_time_s`, `hint`: packets come, and nothing has come to its disk for 3.6 s (with the default "
        "settings; 4.5 s at most)",
    ),
    Told(
        ("recording-resumed",),
        "folder",
        "`media_time_s`: it grows again, there or elsewhere",
    ),
    Told(
        ("recording-gap",),
        "folder",
        "`start_s`, `duration_s`: what is missing before it went on there",
    ),
    Told(
        ("disk-low",),
        "folder",
        "`left_s`, `free`, `hint`: the time left is short, or not enough for the planned end",
    ),
    Told(
        ("disk-critical",),
        "folder",
        "the same; minutes are left",
    ),
    Told(
        ("disk-enough",),
        "folder",
        "`left_s`, `free`: it is not minutes any more",
    ),
    Told(
        ("storage-full", "storage-read-only", "storage-failed", "storage-vanished", "storage-stalled"),
        "folder",
        "`hint`: its disk takes no more, and why; `failed` is an error of the disk itself, or a file damaged on "
        "it that stays in fragments",
    ),
    Told(
        ("storage-refused",),
        "folder",
        "`hint`: nothing is recorded to it: it is not mounted, not a folder, or this user may not write there",
    ),
    Told(
        ("mounts-unknown",),
        "`storage`",
        "`hint`: the file that says which disks were used before cannot be read, so none of them is missed",
    ),
    Told(
        ("storage-switched",),
        "folder",
        "`part`, `offset_s`, `left`: the recording goes on there, from that media time",
    ),
    Told(
        ("guard-failed",),
        "`storage`",
        "`hint`: a mistake of the program; the disks are watched no more",
    ),
    Told(
        ("pc-slept",),
        "`session`",
        "`media_s`, `slept_s`, `hint`: the PC was asleep, so that nothing was recorded for so long; the recording "
        "has no gap there",
    ),
    Told(
        ("thread-failed",),
        "thread",
        "`hint`: a mistake of the program; what this part of the recorder did is not done any more",
    ),
    Told(
        ("parts-apart",),
        "folder",
        "the recording is in several parts that could not be joined; only as a line",
    ),
    Told(
        ("part-left",),
        "folder",
        "`folder`, `hint`: what was recorded there is not sealed yet; only as a line",
    ),
    Told(
        ("sealing-failed",),
        "package name",
        "`hint`; only as a line, not in the log",
    ),
    Told(
        ("file-broken",),
        "source",
        "`hint`: a film, or the sound in one, ends before it should, or cannot be read any further",
    ),
    Told(
        ("isolated-failed",),
        "source",
        "it is not, or not any more, recorded apart; the program is",
    ),
    Told(
        ("isolated-dropped",),
        "source",
        "`count`: pictures missing in its own file",
    ),
    Told(
        ("layout-changed",),
        "layout",
        "`before`, `media_s` (null before it records)",
    ),
    Told(
        ("sound-muted", "sound-unmuted"),
        "input, or `all sound`",
        "`media_s` (null before it records), `muted`: every input that is muted now",
    ),
    Told(
        ("sound-measured",),
        "`program`",
        "once a minute while it records: `loudness_lufs`, `loudness_range_lu`, `drift_ppm` as in `session-ended`, "
        "so far",
    ),
    Told(
        ("events-left-out",),
        "source, or `event log`",
        "`what`: the kind that came too often (null where a disk took none for too long), `count`; only in the log",
    ),
    Told(
        ("mark",),
        "its text",
        "`media_s`, `number` from 1 on",
    ),
    Told(
        ("source-silent",),
        "source",
        "`since_s`: media time from which its last picture, or silence, stands",
    ),
    Told(
        ("source-missing",),
        "source",
        "`since_s`: media time from which a slate, or silence, stands in its place; `reason`: `missing` (not "
        "there at the start), `lost`, `silent`, `busy`, `denied`, `bus-full`",
    ),
    Told(
        ("source-lost",),
        "source",
        "`hint`, `clock_ns`: unplugged, or it stopped answering, or what reads it failed; it is tried again",
    ),
    Told(
        ("source-hung",),
        "source",
        "`count`, `hint`: the kernel has not let go of it; its closing is left to itself",
    ),
    Told(
        ("source-found",),
        "source",
        "`device`, `port`, `moved_from` (its port before, if another), `away_s`: it is open again",
    ),
    Told(
        ("source-returned",),
        "source",
        "`at_s`: media time from which it is shown, or heard, again",
    ),
    Told(
        ("sound-gap",),
        "source",
        "`samples` of silence, at 48,000 a second",
    ),
    Told(
        ("picture-damaged",),
        "source",
        "`count` so far, `reason`: it could not be decoded, and the one before it stays; told at the 1st, 2nd, "
        "4th, 8th ...",
    ),
    Told(
        ("frames-dropped",),
        "source",
        "`count`, at most every 5 s; `late_in_all` (they came after their turn) and `not_taken_in_all` (this PC did "
        "not keep up) since the devices were opened",
    ),
    Told(
        ("encoder-failed",),
        "encoder",
        "`encoder`, `reason`: `not-in-build`, `no-device`, `no-driver`, `cannot-open`, `crashed`, `failed`, "
        "`silent`, `too-slow`, `holds-back`, `wrong-stream`, `wrong-pictures`; `detail`; `encoded_again`: how "
        "many pictures it had swallowed; `goes_on`: x264, at a keyframe, in another file",
    ),
    Told(
        ("stepped-down",),
        "`PC`",
        "`step`: `encoder`, `viewers`, `frame rate`, `detail`; `steps`: all in force; `behind_s`, `busy` as in "
        "the status line: this PC does not keep up, so the session needs less of it, until `keeps-up`",
    ),
    Told(
        ("stepped-up",),
        "`PC`",
        "the same: a step is taken back, others are still in force",
    ),
    Told(
        ("keeps-up",),
        "`PC`",
        "the same: the last step is taken back",
    ),
    Told(
        ("priority-granted",),
        "`recorder`",
        "once, at its beginning; only as a line, not shown to people: `nice`, `group_nice` (of its session, null "
        "where Linux does not share processors among sessions), `realtime` (the priority that its sound may have, "
        "0: none), `oom_score_adj`; `asked`: what it wanted of these; `hint` where it is less",
    ),
    Told(
        ("cpu-measured",),
        "`recorder`",
        "with `--profile-stages`: `until` (`recorded`, then as a line only `sealed`, or `ended` without a "
        "package), `wall_s` and `cpu_s` since the recorder's process began, `children_s` of it in child "
        "processes; `stages` by name, which add up to `cpu_s`; `threads` and `processes`, each with `name`, "
        "`count`, `cpu_s`",
    ),
    Told(
        ("sink-failed",),
        "output",
        "an output beside the recording broke and gets no more",
    ),
    Told(
        ("meter-failed",),
        "`loudness`",
        "`hint`; a mistake of the program: how loud it is is not measured any more",
    ),
    Told(
        ("sound-lost",),
        "source",
        "`count`, at most every 5 s: PortAudio's buffer overflowed",
    ),
    Told(
        ("source-busy", "source-denied", "source-bus-full"),
        "source",
        "`device`, `fault`, `state`: it was not opened",
    ),
    Told(
        (
            "source-no-signal",
            "source-frozen",
            "source-black",
            "source-silence",
            "source-dead-channel",
            "source-damaged",
            "source-slow",
        ),
        "source",
        "`device` (its id), `fault`, `state` (of the device now): a watch has found the fault",
    ),
    Told(
        ("source-jitter", "source-clipping", "source-hum"),
        "source",
        "the same; nothing is lost by it",
    ),
    Told(
        ("source-recovered",),
        "source",
        "the same: `fault` is over, `state` is `ok` or that of another fault",
    ),
    Told(
        ("destination-live",),
        "destination",
        "`reconnects`, `dropped`",
    ),
    Told(
        ("destination-lost",),
        "destination",
        "`reason`, `detail`, `live_s`; once for each reason until it is live",
    ),
    Told(
        ("destination-dropped",),
        "destination",
        "`frames`, at most every 10 s",
    ),
    Told(
        ("destination-slow",),
        "destination",
        "`reason` (`too-slow`), `backlog_s`: it is live, fell behind, and what was late was dropped",
    ),
    Told(
        ("destination-keeps-up",),
        "destination",
        "`slow_s`, `frames` (dropped in that time): it has kept up for 10 s",
    ),
    Told(
        ("stream-rate-changed",),
        "`live picture`",
        "`before`, `bitrate`, `slowest` (the destination that decides, or null): by 15 % and more, at most every "
        "2 s (down) or 10 s (up)",
    ),
    Told(
        ("stream-encode-late",),
        "`live picture`",
        "`count`, at most every 10 s: pictures left out of the live side's own encode, because this PC did not keep up",
    ),
    Told(
        ("stream-encode-failed",),
        "`live picture`",
        "`goes_on`: `separate` (it was opened again) or `shared` (what is recorded is streamed)",
    ),
    Told(
        ("destination-forgotten",),
        "destination",
        "`hint`: its recorder was killed, and its address was given by `@-` alone, or is not found any more; or the "
        "session was planned, and its address or key is not found; until it is added",
    ),
    Told(
        ("wish-unknown",),
        "profile, layout",
        "`hint`: a planned session, or one that goes on after a kill, names one that the settings do not have or that "
        "cannot be shown; it is recorded with theirs",
    ),
    Told(
        ("conference-live",),
        "`camera` or `microphone`",
        "`node`, `width`, `height`, `format`; or `sink`: it gets pictures, or sound",
    ),
    Told(
        ("conference-lost",),
        "`camera` or `microphone`",
        "`reason`, `hint`; once for each reason until it is live",
    ),
    Told(
        ("destination-stopped",),
        "destination",
        "`dropped`, `unsent`, `reconnects`",
    ),
    Told(
        ("destination-added", "destination-removed"),
        "destination",
        "somebody wants it, or does not want it any more; `destination-stopped` says when it has ended",
    ),
    Told(
        ("destination-restarted",),
        "destination",
        "somebody wants it to be connected anew",
    ),
)
"""In the order in which they are shown."""
