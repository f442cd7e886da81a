"""What was found of this PC's encoders, remembered until it is started anew: a session has no time to try them."""

from contextlib import suppress

from config.errors import StateError
from config.state import Store, state_folder
from config.version import VERSION
from devices.host.clock import boot_id
from recorder.encode.hardware_kinds import Kind, Reason, Verdict
from recorder.encode.x264 import VideoSettings

type Verdicts = dict[str, Verdict]

PASSING = frozenset({Reason.NOT_IN_BUILD, Reason.NO_DEVICE, Reason.NO_DRIVER, Reason.CANNOT_OPEN})
"""What may be otherwise by the next session, and takes little time to find: a module that is loaded late, another
program that has all encoders at the moment."""


def verdicts() -> Store[Verdicts]:
    """Return what was found, by what was asked and when."""
    return Store(state_folder() / "encoders.json", Verdicts.__value__, {})


def remembered(kind: Kind, settings: VideoSettings) -> Verdict | None:
    """Return what is known of an encoder since this PC was started; None where that is nothing."""
    try:
        return verdicts().read().get(_place(kind, settings))
    except StateError:
        return None


def remember(verdict: Verdict, settings: VideoSettings) -> None:
    """Keep it, and forget what is from before this PC was started; where it cannot be kept, it is found again."""
    now = _now()
    with suppress(StateError):
        verdicts().change(
            lambda before: {
                **{place: each for place, each in before.items() if place.endswith(now)},
                _place(verdict.kind, settings): verdict,
            }
        )


def verdict_of(kind: Kind, settings: VideoSettings) -> Verdict:
    """Return what is known of an encoder; where that is nothing that lasts, it is tried, which takes some seconds."""
    known = remembered(kind, settings)
    if known is None or known.reason in PASSING:
        # Only now: what draws and compares pictures is of no use to a session that knows.
        from recorder.encode.hardware_probe import probe

        known = probe(kind, settings)
        remember(known, settings)
    return known


def _place(kind: Kind, settings: VideoSettings) -> str:
    asked = f"{settings.width}x{settings.height} {settings.rate}/s {settings.bit_rate}-{settings.max_rate} bit/s"
    return f"{kind.value} {asked}; {_now()}"


def _now() -> str:
    return f"liput {VERSION}, boot {boot_id()}"
