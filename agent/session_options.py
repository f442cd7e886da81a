"""The options of the commands that begin a session, and what they ask of its recorder."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from agent.asking import specify
from agent.parameters import seconds
from config.errors import UsageError
from recorder.asked import Asked
from recorder.control.protocol import RecorderRefused
from recorder.control.spec import Spec

_OPTIONS = (
    click.option("--title", required=True, help="What the session is; names the package."),
    click.option(
        "--video", "videos", metavar="DEVICE|screen|synthetic|FILE", multiple=True,
        help="Where the picture comes from; several for a layout.  [default: the best]",
    ),
    click.option(
        "--audio", "audios", metavar="DEVICE|synthetic|FILE|none", multiple=True,
        help="Where the sound comes from; several are mixed.  [default: the picture's, or the best]",
    ),
    click.option("--layout", metavar="NAME", help="How several pictures are shown (liput config show)."),
    click.option(
        "--conference/--no-conference", default=None,
        help="Feed a virtual camera and microphone (liput conference setup).  [default: as the settings have it]",
    ),
    click.option("--isolate", is_flag=True, help="Record each source apart as well, beside the program."),
    click.option(
        "--allow-missing", is_flag=True, help="Begin without a device that is not there: a slate stands in its place."
    ),
    click.option(
        "--for", "duration_s", callback=seconds, metavar="TIME", help="How long: 90s, 1h30m.  [default: until stopped]"
    ),
    click.option(
        "--stream", "streams", metavar="NAME|@FILE", multiple=True,
        help="A destination of the settings, or a 0600 file with a URL; repeatable.",
    ),
    click.option("--profile", metavar="NAME", help="Size, rate and bit rates (liput config show)."),
    click.option("--archive", type=click.Path(path_type=Path), metavar="DIR", help="The archive folder."),
    click.option("--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="The settings file."),
)  # fmt: skip


def session_options[Answer](command: Callable[..., Answer]) -> Callable[..., Answer]:
    """Give a click command the options of a session; it is called with `asked` and `config_file` instead of them."""

    @functools.wraps(command)
    def asking(
        *,
        title: str,
        videos: tuple[str, ...],
        audios: tuple[str, ...],
        layout: str | None,
        conference: bool | None,
        isolate: bool,
        allow_missing: bool,
        duration_s: float | None,
        streams: tuple[str, ...],
        profile: str | None,
        archive: Path | None,
        config_file: Path | None,
        **others: object,
    ) -> Answer:
        if not title.strip():
            raise UsageError("the title is empty", hint='say what the session is: --title "Rapat senat"')
        asked = Asked(
            title=title,
            videos=videos,
            audios=audios,
            layout=layout,
            conference=conference,
            isolate=isolate,
            allow_missing=allow_missing,
            duration_s=duration_s,
            streams=streams,
            profile=profile,
            archive=archive,
        )
        return command(asked=asked, config_file=config_file, **others)

    for option in reversed(_OPTIONS):
        asking = option(asking)
    return asking


def with_slates[Answer](
    asked: Asked, config_file: Path | None, begin: Callable[[Spec], Answer], **more: bool
) -> Answer:
    """Begin a session; where a device is missing, ask whoever sits at the terminal whether to begin without it.

    `more` goes to agent.asking.specify. Raises what `begin` raises, also when the answer is no.
    """
    spec = specify(asked, config_file, **more)
    try:
        return begin(spec)
    except RecorderRefused as error:
        if not error.is_of_device or asked.allow_missing or not _somebody_is_there():
            raise
        click.echo(f"liput: {error.message}", err=True)
        if not click.confirm("Begin without it, with a slate in its place until it comes?", default=False, err=True):
            raise
    return begin(_allowing(spec))


def _allowing(spec: Spec) -> Spec:
    return msgspec.structs.replace(spec, asked=msgspec.structs.replace(spec.asked, allow_missing=True))


def _somebody_is_there() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
