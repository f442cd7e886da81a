"""Whether this PC can encode the profile of the session in real time, with something to spare.

A process of its own runs the real pipeline, with the real sources where they are free.
"""

import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import partial

import msgspec

from agent.checks.check import Check, Progress, Situation, Tell
from agent.checks.result import Measured, Result, codes, found
from config.errors import LiputError
from config.locale.lookup import words
from config.settings.schema import PRESETS, Profile
from devices.host.clock import NANOSECONDS
from devices.host.deadline import DeadlineTask
from recorder.live_encode.headroom import SEPARATE, SPARE, Headroom, Measurement, Question, choose, remember, remembered

WORDS = words("check-encoder")

NAME = "encoder"
LEAST_SPARE = 0.1
"""With less, pictures are lost as soon as anything else wants the processor."""
LONGEST_S = 20.0
"""A PC that is not done by then cannot encode it: it takes 3 s on one that can, and some more to prepare for it."""
USUAL_S = 8.0
_POLL_S = 0.1

CODES = codes("check-encoder")


def measure(situation: Situation, tell: Tell) -> Iterable[Result]:
    """Return whether the session's profile can be encoded here."""
    if situation.held:
        return [found(CODES, "in-session", NAME, session=situation.held[0].info.title)]
    _, most = situation.settings.video.stream_range(situation.profile)
    asked = Question(situation.profile, most)
    if situation.quick:
        known = remembered(asked)
        return [found(CODES, "not-known", NAME) if known is None else judge(situation, known)]
    file = situation.settings.file
    asked = msgspec.structs.replace(
        asked, videos=situation.asked.videos, settings=str(file) if file is not None else None
    )
    try:
        return [_measured(situation, asked, tell)]
    except LiputError as error:
        return [found(CODES, "not-measured", NAME, error=error.message)]


def _measured(situation: Situation, asked: Question, tell: Tell) -> Result:
    """Return what is found by measuring; the process that measures has ended then. Raises LiputError."""
    clock, began_ns = situation.clock, situation.clock.now_ns()
    measurement = Measurement()
    task = DeadlineTask(partial(measurement.run, asked), "check-headroom")
    try:
        while not (is_done := task.is_over):
            seconds = (clock.now_ns() - began_ns) / NANOSECONDS
            if seconds > LONGEST_S or clock.wait(situation.stop, _POLL_S):
                break
            tell(Progress(share=min(0.95, seconds / USUAL_S), doing=WORDS["measuring-the-encoder"]))
    finally:
        measurement.stop()
        task.wait(math.inf)
    if situation.stop.is_set():
        return found(CODES, "cancelled", NAME)
    if not is_done:
        return found(CODES, "not-done", NAME, {"longest_s": LONGEST_S})
    headroom = task.result()
    if not headroom.real_sources:
        remember(msgspec.structs.replace(asked, videos=None, settings=None), headroom)
    return judge(situation, headroom)


def judge(situation: Situation, headroom: Headroom) -> Result:
    """Return what a measured headroom means for the session."""
    settings = situation.settings
    takes_two = bool(situation.streams) and choose(settings.video.stream_encode, headroom)[0] == SEPARATE
    spare = headroom.spare if takes_two else headroom.spare_of_one
    fitting = lighter_profile(settings.profiles, situation.profile, 1 - spare)
    measured: Measured = {
        "spare_percent": round(100 * spare, 1),
        "one_encode_cores": headroom.one_encode,
        "two_encodes_cores": headroom.two_encodes,
        "cores": headroom.cores,
        "encodes": 2 if takes_two else 1,
        "real_sources": headroom.real_sources,
        "fitting_profile": fitting if spare < SPARE else None,
    }
    if spare >= SPARE:
        code = "ok"
    elif spare >= LEAST_SPARE:
        code = "tight" if fitting is not None else "tight-no-profile"
    else:
        code = "too-slow" if fitting is not None else "nothing-fits"
    profile = situation.asked.profile or settings.video.profile
    return found(CODES, code, NAME, measured, profile=profile, fitting=fitting)


def lighter_profile(profiles: Mapping[str, Profile], profile: Profile, taken: float) -> str | None:
    """Return the largest of `profiles` that leaves enough over, where `profile` takes the part `taken`.

    Pixels a second count: the cost of a picture hardly grows with its bit rate. Dearer presets are left out.
    """
    dearest = PRESETS.index(profile.preset)
    fitting = {
        name: _pixels_a_second(other)
        for name, other in profiles.items()
        if PRESETS.index(other.preset) <= dearest
        and taken * _pixels_a_second(other) / _pixels_a_second(profile) <= 1 - SPARE
        and _pixels_a_second(other) < _pixels_a_second(profile)
    }
    return max(fitting, key=lambda name: fitting[name], default=None)


def _pixels_a_second(profile: Profile) -> Fraction:
    return profile.width * profile.height * profile.fps


CHECKS = [Check(NAME, WORDS["encoder"], measure, CODES, place=40, alone=True, longest_s=LONGEST_S + 3)]
