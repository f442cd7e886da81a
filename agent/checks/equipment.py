"""Whether the cameras and microphones that a session wants are there, and are as they should be."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from agent.checks.check import Check, Situation, Tell
from agent.checks.device_state import CODES, NAME, state_of, stream_of
from agent.checks.result import Result, found
from agent.checks.side_by_side import side_by_side
from agent.checks.wanted import Room, WantedSource
from agent.devices.gather import with_what_is_known
from config.errors import StateError
from config.locale.lookup import words
from devices.health.faults import Fault
from devices.model import Device
from devices.roles.roles import Roles, roles_store
from devices.usb.budget import Verdict as Fit
from devices.usb.budget import predict
from devices.usb.topology import Topology

WORDS = words("check-devices")

ANSWER_S = 3.0
"""How long a device may take to answer; it takes some hundredths of a second."""


def look(situation: Situation, _tell: Tell) -> Iterable[Result]:
    """Return what is found of each source of the session, and of the USB buses that they share."""
    return look_at(situation, Topology.read())


def look_at(situation: Situation, tree: Topology) -> Iterator[Result]:
    """Give the same where the hubs and devices on USB are those of `tree`."""
    roles: Roles = {}
    try:
        roles = roles_store().read()
    except StateError:
        yield found(CODES, "unreadable", NAME, file=roles_store().path)
    room = Room(_listed(situation), roles)
    sources = list(room.sources(situation.asked))
    looks = [partial(_looked_at, number, situation, tree, source) for number, source in enumerate(sources)]
    answers = dict(side_by_side(looks, situation.stop, longest_s=ANSWER_S))
    for number, source in enumerate(sources):
        yield from answers.get(number) or [_no_answer(source)]
    yield from _crowded(sources, situation, tree)
    if not situation.asked.videos and not situation.asked.audios:
        for missing in room.missing_beside(sources):
            yield from _results(situation, tree, missing)


def _listed(situation: Situation) -> Sequence[Device]:
    """Return what is plugged in, with what is known of it.

    One that is in use is just that, whatever its holder has found: no session could open it, and nothing is set on it.
    """
    devices = situation.devices()
    known = with_what_is_known(devices, situation.clock.now())
    pairs = zip(devices, known, strict=True)
    return [device if device.health.fault == Fault.BUSY else with_known for device, with_known in pairs]


def _looked_at(number: int, situation: Situation, tree: Topology, source: WantedSource) -> tuple[int, list[Result]]:
    return number, _results(situation, tree, source)


def _results(situation: Situation, tree: Topology, source: WantedSource) -> list[Result]:
    name = f"{NAME}: {source.name}"
    if source.trouble:
        return [found(CODES, source.trouble.code, name, None, **source.trouble.facts)]
    if source.device is None:
        return [found(CODES, "no-device", name)]
    return list(state_of(source.device, name, situation, tree))


def _no_answer(source: WantedSource) -> Result:
    called = source.device.name if source.device else source.name
    return found(CODES, "no-answer", f"{NAME}: {source.name}", device=called)


def _crowded(sources: Sequence[WantedSource], situation: Situation, tree: Topology) -> Iterator[Result]:
    """Give which of the sources cannot, or may not, run at once on one USB bus."""
    devices = [source.device for source in sources if source.device and source.device.port]
    names = {device.id: device.name for device in devices}
    for one in predict(tree, [stream_of(device, situation.profile, tree) for device in devices]):
        code = "bus-full" if one.verdict is Fit.CANNOT_FIT else "bus-tight"
        measured = {"least_percent": round(100 * one.least), "most_percent": round(100 * one.most)}
        called = " + ".join(names[device_id] for device_id in one.devices)
        yield found(CODES, code, f"{NAME}: USB {one.bus.rpartition(' ')[2]}", measured, devices=called)


CHECKS = [Check(NAME, WORDS["devices"], look, CODES, place=10)]
