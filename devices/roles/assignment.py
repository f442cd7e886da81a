"""Roles of devices ("slides", "podium", or another word), kept in `roles.json` of the state folder."""

import re
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from config.errors import DeviceNotFound, StateError, UsageError
from config.settings.value_kinds import did_you_mean
from config.state import StateFile, state_folder
from devices.health.log_line import HealthLogger, LogKind
from devices.model.device import Device, DeviceKind
from devices.roles.matching import MissingDevice, RoleBinding, binding_of, resolve, resolve_all

SLIDES, PODIUM, ROOM, MICROPHONE = "slides", "podium", "room", "microphone"
VIDEO_ROLES = (SLIDES, PODIUM, ROOM)  # in the order of choice

SERVER_INPUTS = ("sound:", "pulse:")  # prefixes of the ids of sound servers' inputs

_NAME = re.compile(r"[^\W\d_][\w-]{0,31}")
_TAKEN = {"none"}

type Roles = Mapping[str, RoleBinding]


def roles_store(path: Path | None = None) -> StateFile[dict[str, RoleBinding]]:
    """Return the store in `path` (None: this PC's)."""
    return StateFile(path or state_folder() / "roles.json", dict[str, RoleBinding], {})


def read_roles() -> Roles:
    """Return the roles given; none if they cannot be read."""
    try:
        return roles_store().read()
    except StateError:
        return {}


def role_name(word: str, taken: Collection[str] = ()) -> str:
    """Return `word` as a role's name, in lower case. Raises UsageError if it is malformed or `taken`."""
    if not _NAME.fullmatch(word):
        raise UsageError(
            f"{word!r} cannot be the name of a role",
            hint="a role begins with a letter, and has letters, digits, - and _, such as podium",
        )
    if word.casefold() in {*_TAKEN, *taken}:
        raise UsageError(f"{word!r} cannot be the name of a role: liput record uses it otherwise")
    return word.casefold()


def with_roles(devices: Iterable[Device], roles: Roles) -> list[Device]:
    devices = list(devices)
    resolved = resolve_all(roles, devices) if roles else {}
    held = {found.id: role for role, found in resolved.items() if isinstance(found, Device)}
    return [msgspec.structs.replace(device, role=held.get(device.id)) for device in devices]


def device_with_role(role: str, roles: Roles, devices: Sequence[Device]) -> Device:
    """Return the device of `role`, one of `roles`. Raises DeviceNotFound with the remedies."""
    resolved = resolve_all(roles, devices)
    found = resolved[role]
    if isinstance(found, Device):
        return found
    binding = roles[role]
    is_sound = binding.kind is DeviceKind.MICROPHONE
    present = [
        other
        for other in roles
        if isinstance(resolved[other], Device) and (roles[other].kind is DeviceKind.MICROPHONE) == is_sound
    ]
    raise DeviceNotFound(
        f"{role} ({binding.name}) is missing: {found.reason}",
        hint=_remedies(role, found, f"--{'audio' if is_sound else 'video'}", present),
        about=role,
    )


def _remedies(role: str, missing: MissingDevice, option: str, present: Sequence[str]) -> str:
    """Return the remedies; each ends with its command line, for copying."""
    assign = f"liput devices assign {role}"
    ways = ["Plug it in"]
    if present:
        ways.append("to record another: " + " or ".join(f"{option} {other}" for other in present))
    if missing.replacement:
        ways.append(f"to take the one in its port: {assign} {shlex.quote(missing.replacement.id)}")
    elif missing.elsewhere:
        ways += [f"if it is in port {d.port or '?'} now: {assign} {shlex.quote(d.id)}" for d in missing.elsewhere]
    else:
        ways.append(f"to give the role to another: {assign} DEVICE")
    return "; ".join(ways)


def assign(
    store: StateFile[dict[str, RoleBinding]],
    role: str,
    device: Device,
    devices: Sequence[Device],
    *,
    now: datetime,
    record: HealthLogger,
    moves: bool = False,
) -> RoleBinding | None:
    """Give `role` to `device`, one of `devices`; return the former binding if that was another device.

    If it `moves`, a device gives up its other role in the same step; else that raises UsageError. Also raises
    UsageError for a malformed name, and StateError. Roles stay unchanged on errors.
    """
    role = role_name(role)
    before: RoleBinding | None = None
    was_missing = False
    left: list[str] = []

    def change(roles: dict[str, RoleBinding]) -> dict[str, RoleBinding]:
        nonlocal before, was_missing, left
        left = [
            other
            for other, found in resolve_all(roles, devices).items()
            if other != role and isinstance(found, Device) and found.id == device.id
        ]
        if left and not moves:
            raise UsageError(
                f"{device.name} ({device.id}) is {left[0]} already: a device has one role",
                hint=f"take that away first: liput devices unassign {left[0]}",
            )
        before = roles.get(role)
        was_missing = before is not None and isinstance(resolve(before, devices), MissingDevice)
        kept = {other: binding for other, binding in roles.items() if other not in left}
        return {**kept, role: binding_of(device, now)}

    store.change(change)
    for other in left:
        record(device.id, LogKind.ROLE_UNASSIGNED, f"is {other} no more", name=device.name, role=other)
    _tell_assigned(record, role, device, before, was_missing=was_missing)
    return before if before and before.id != device.id else None


def _tell_assigned(
    record: HealthLogger, role: str, device: Device, before: RoleBinding | None, *, was_missing: bool
) -> None:
    if before and was_missing:
        reason = f"is {role} from now on, in place of {before.name} ({before.id}), which was missing"
        kind = LogKind.ROLE_REPLACED
    else:
        instead = f", in place of {before.name} ({before.id})" if before and before.id != device.id else ""
        reason = f"is {role} from now on{instead}"
        kind = LogKind.ROLE_ASSIGNED
    record(device.id, kind, reason, name=device.name, role=role, old=before.id if before else None, new=device.id)


def unassign(store: StateFile[dict[str, RoleBinding]], role: str, *, record: HealthLogger) -> RoleBinding:
    """Remove `role`; return its binding. Raises UsageError for an unknown role, and StateError."""
    role = role_name(role)
    taken: RoleBinding | None = None

    def change(roles: dict[str, RoleBinding]) -> dict[str, RoleBinding]:
        nonlocal taken
        if role not in roles:
            there = ", ".join(roles) or "none; liput devices assign ROLE DEVICE gives one"
            raise UsageError(f"no device has the role {role}{did_you_mean(role, roles)}", hint=f"roles given: {there}")
        taken = roles[role]
        return {name: binding for name, binding in roles.items() if name != role}

    store.change(change)
    assert taken is not None  # noqa: S101 - else it has raised
    record(taken.id, LogKind.ROLE_UNASSIGNED, f"is {role} no more", name=taken.name, role=role)
    return taken


def update_bindings(store: StateFile[dict[str, RoleBinding]], devices: Sequence[Device]) -> None:
    """Update each role's port, and mark serial numbers shared with a twin. Raises StateError."""

    def known(roles: Mapping[str, RoleBinding]) -> dict[str, RoleBinding]:
        return {role: _updated(binding, devices) for role, binding in roles.items()}

    given = store.read()
    if known(given) != given:
        store.change(known)


def _updated(binding: RoleBinding, devices: Sequence[Device]) -> RoleBinding:
    device = resolve(binding, devices)
    if binding.serial is None or not isinstance(device, Device):
        return binding
    if device.shared_serial == binding.serial:
        return msgspec.structs.replace(binding, serial=None, shared_serial=binding.serial)
    return msgspec.structs.replace(
        binding, port=device.port, place=device.place, capabilities=device.capabilities or binding.capabilities
    )


def propose_roles(devices: Sequence[Device]) -> dict[str, Device]:
    """Propose roles for the plugged-in devices where nobody has assigned any.

    Capture cards are slides, slides2, ...; cameras are podium, room, room2, ..., USB cameras first; the microphone is
    the capture card's own sound, or a USB microphone.
    """
    pictures = [device for device in devices if device.node is not None and device.modes]
    cards = [device for device in pictures if device.kind is DeviceKind.CAPTURE_CARD]
    cameras = [device for device in pictures if device.kind is DeviceKind.CAMERA]
    cameras.sort(key=lambda camera: camera.vid is None)
    found = dict(zip(_numbered(SLIDES), cards, strict=False))
    found |= dict(zip((PODIUM, *_numbered(ROOM)), cameras, strict=False))
    paired = [device for card in cards for device in devices if device.id == card.paired_with]
    microphones = [device for device in devices if device.alsa and device.vid and device.paired_with is None]
    for sound in (paired + microphones)[:1]:
        found[MICROPHONE] = sound
    return found


def _numbered(role: str) -> tuple[str, ...]:
    return (role, *(f"{role}{number}" for number in range(2, 10)))
