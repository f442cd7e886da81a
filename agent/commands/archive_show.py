"""`liput archive show`: one recording, as its package describes it."""

from collections.abc import Iterator
from pathlib import Path

import click

from agent.archives import archive_option, archives_of, find_in
from agent.parameters import json_option, print_json
from config.quantities import brief_size, clock_text
from recorder.archive.model import AudioTrack, Package, Recording, VideoTrack
from recorder.archive.names import one_line


@click.command("show")
@click.argument("package_id", metavar="ID")
@archive_option
@json_option
@click.pass_context
def show_command(ctx: click.Context, package_id: str, folder: Path | None, *, as_json: bool) -> None:
    """Show one recording. ID is its name, its UUID, its path, or the beginning of one."""
    _, package = find_in(archives_of(ctx, folder), package_id)
    if as_json:
        print_json(package)
        return
    for label, value in _description(package):
        if value:
            click.echo(f"{label:<16}{one_line(value)}")


def _description(package: Package) -> Iterator[tuple[str, str]]:
    yield "Title", package.title
    yield "Id", package.id
    yield "UUID", package.uuid
    yield "State", package.state
    yield "Started", package.started_at.isoformat(" ", "seconds")
    yield "Length", clock_text(round(package.duration_s))
    yield "Size", brief_size(package.bytes)
    if package.recording:
        yield from _asked(package.recording)
        yield from _recorded(package.recording)
        yield from _kept(package.recording)
    yield "Folder", package.path


def _recorded(recording: Recording) -> Iterator[tuple[str, str]]:
    yield "Office", recording.office
    yield "Room", recording.room
    yield "Profile", recording.profile
    yield "Streamed to", ", ".join(recording.destinations)
    lost = (("dropped", recording.dropped), ("repeated", recording.repeated))
    counts = (f"{'unknown' if count is None else count} {name}" for name, count in lost)
    yield "Frames", ", ".join((str(recording.frames), *counts))
    yield "Degraded", ", ".join(recording.degraded)
    if recording.loudness_lufs is not None:
        yield "Loudness", f"{recording.loudness_lufs} LUFS"
    for media in recording.media:
        tracks = "; ".join(map(_track, media.tracks)) or media.problem
        yield "Media", f"{media.file}: {brief_size(media.bytes)}, {tracks}"


def _asked(recording: Recording) -> Iterator[tuple[str, str]]:
    """Give the request that it was for, as far as there was one."""
    if request := recording.request:
        date = request.letter_date.isoformat() if request.letter_date else ""
        yield "Letter", ", ".join(filter(None, (request.letter_number, date)))
        yield "Applicant", ", ".join(filter(None, (request.applicant, request.unit)))
        yield "Event", ", ".join(filter(None, (request.event, request.place)))


def _kept(recording: Recording) -> Iterator[tuple[str, str]]:
    """Give what records management says, whether the speakers agreed, and what was handed in later."""
    records = recording.records
    yield "Classification", records.classification
    yield "Security", records.security
    retention = (("active", records.retention_active), ("inactive", records.retention_inactive))
    yield "Retention", ", ".join(f"{name} {time}" for name, time in retention if time)
    yield "Disposition", records.disposition
    yield "Consent", ": ".join(filter(None, (recording.consent.state, recording.consent.note)))
    for one in recording.additions:
        yield "Added", f"{one.file}: {one.name}, {brief_size(one.bytes)}"
    if recording.excerpt_of:
        yield "Excerpt of", recording.excerpt_of


def _track(track: VideoTrack | AudioTrack) -> str:
    if isinstance(track, VideoTrack):
        return f"{track.codec} {track.width}x{track.height} at {track.rate}, {track.frames} frames"
    return f"{track.codec} {track.sample_rate} Hz {track.layout}"
