"""Devices by the API: list, roles, controls of cameras."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Annotated

import msgspec

from agent.devices.listing import RoleState, devices_with_roles, give_role, known_devices, role_states, take_role_away
from agent.devices.page import ControlsDocument, control_rows, controls_document, find_camera
from agent.web.api.state import DeviceShown, device_shown
from agent.web.http.endpoint import ApiCall, Endpoint
from config.errors import UsageError
from devices.controls import presets
from devices.controls.panel import ControlPanel
from devices.controls.setting import ControlChange
from devices.health.log_line import HealthLogger, LogKind, LogLevel
from devices.health.log_writer import open_health_log
from devices.model.device import Device
from devices.roles.assignment import propose_roles, read_roles, roles_store

type RoleName = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
type Value = Annotated[str, msgspec.Meta(max_length=256)]
type Act = Callable[[ControlPanel, Device, HealthLogger], list[ControlChange]]


class RoleChange(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="role"):
    """A role given, or taken from `before`; null if nobody has or had it."""

    role: str
    device: str | None
    before: str | None


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A proposed role for a device, while nobody has any role."""

    role: str
    device: str


class RolesDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The document of `liput devices roles --json`."""

    roles: list[RoleState]
    proposals: list[Proposal]


def devices(call: ApiCall) -> list[DeviceShown]:
    """Return the devices, with sentences for faults. Opens none while the daemon watches them."""
    there = known_devices(read_roles(), call.house.devices.there() if call.house.devices else None)
    return [device_shown(device) for device in there]


def roles_now(_call: ApiCall) -> RolesDocument:
    """Return roles and proposals."""
    given = roles_store().read()
    there = devices_with_roles(given)
    proposed = {} if given else propose_roles(there)
    return RolesDocument(
        roles=list(role_states(given, there)),
        proposals=[Proposal(role=role, device=device.id) for role, device in proposed.items()],
    )


def set_role(call: ApiCall, *, role: RoleName | None) -> RoleChange:
    """Give a role to a device in place of its present one; null takes that away."""
    settings, name = call.house.settings.read(), call.path["id"]
    if role is not None:
        role, device, before, _ = give_role(settings, role, name, moves=True)
        return RoleChange(role=role, device=device.id, before=before.id if before else None)
    given = roles_store().read()
    has = [device.role for device in devices_with_roles(given) if device.id == name and device.role]
    has += [role for role, binding in given.items() if binding.id == name]  # an absent device
    if not has:
        raise UsageError(f"no role belongs to {name}", hint="GET /api/v1/roles lists the roles")
    taken = take_role_away(settings, has[0])
    return RoleChange(role=has[0], device=None, before=taken.id)


def controls(call: ApiCall) -> ControlsDocument:
    """Return the controls of a camera."""
    return _controls(call)


def set_controls(
    call: ApiCall,
    *,
    values: Annotated[Mapping[str, Value], msgspec.Meta(min_length=1, max_length=64)],
    keep: bool = True,
) -> ControlsDocument:
    """Set controls of a camera as `liput devices controls`: all or none. It may be recording.

    With `keep` they are set again after each plug; without it, somebody moves a slider.
    """
    store = presets.preset_store() if keep else None

    def act(panel: ControlPanel, device: Device, record: HealthLogger) -> list[ControlChange]:
        telling = record if keep else _tried(record)
        return presets.set_controls(panel, device, values, record=telling, store=store)

    return _controls(call, act)


def reset_controls(call: ApiCall) -> ControlsDocument:
    """Reset one control or all; `changes` has the camera's refusals."""
    power_line = call.house.settings.read().devices.power_line_frequency
    name, store = call.path.get("name"), presets.preset_store()

    def act(panel: ControlPanel, device: Device, record: HealthLogger) -> list[ControlChange]:
        return presets.reset_controls(panel, device, name, power_line=power_line, record=record, store=store)

    return _controls(call, act)


def _tried(record: HealthLogger) -> HealthLogger:
    """Return a HealthLogger that lowers info lines to debug, for several changes a second."""

    def tell(
        device: str, kind: LogKind, reason: str = "", *, name: str = "", level: LogLevel = LogLevel.INFO,
        **detail: object,
    ) -> None:  # fmt: skip
        record(device, kind, reason, name=name, level=LogLevel.DEBUG if level is LogLevel.INFO else level, **detail)

    return tell


def _controls(call: ApiCall, act: Act | None = None) -> ControlsDocument:
    settings = call.house.settings.read()
    device = find_camera(call.path["id"])
    changes: list[ControlChange] = []
    with ExitStack() as stack:
        panel = stack.enter_context(ControlPanel(device.node or "", device.name, to_set=act is not None))
        if act is not None:
            changes = act(panel, device, stack.enter_context(open_health_log(settings, call.house.clock)))
        rows = list(control_rows(panel.controls(), device, settings, call.house.tell))
    return controls_document(device, changes, rows)


_AT = "/api/v1/devices/{id:path}"
ENDPOINTS = [
    Endpoint("GET", "/api/v1/devices", devices, "The connected devices", pool="slow", errors=()),
    Endpoint("GET", "/api/v1/roles", roles_now, "The roles and their devices", pool="slow", errors=(409,)),
    Endpoint("POST", f"{_AT}/role", set_role, "Assign a role to a device, or take it away", pool="slow"),
    Endpoint("GET", f"{_AT}/controls", controls, "The controls of a camera", pool="slow"),
    Endpoint("PATCH", f"{_AT}/controls", set_controls, "Set controls of a camera", pool="slow"),
    Endpoint(
        "DELETE", f"{_AT}/controls", reset_controls, "Set every control of a camera back to its default", pool="slow"
    ),
    Endpoint("DELETE", f"{_AT}/controls/{{name}}", reset_controls, "Set one control back to its default", pool="slow"),
]
