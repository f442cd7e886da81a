"""How devices are called in tables and lines for people."""

from datetime import datetime, timedelta

from config.quantities import format_rate
from devices.model import Device, DeviceKind, Health, HealthState

_KINDS = {DeviceKind.CAMERA: "camera", DeviceKind.CAPTURE_CARD: "capture card", DeviceKind.MICROPHONE: "microphone"}
_JUST_NOW = timedelta(seconds=3)
_COLOURS = {
    HealthState.OK: "green",
    HealthState.DEGRADED: "yellow",
    HealthState.BUSY: "yellow",
    HealthState.SILENT: "red",
    HealthState.FROZEN: "red",
    HealthState.LOST: "red",
}


def kind_text(device: Device) -> str:
    """Return what a device is."""
    return _KINDS[device.kind]


def where_text(device: Device, separator: str = "\n") -> str:
    """Return where a device is: its node or ALSA name, and its port with the speed of the link."""
    speed = f" ({format_rate(device.link_bps)})" if device.link_bps else ""
    port = f"port {device.port}{speed}" if device.port else ""
    return separator.join(part for part in (device.node or device.alsa or "", port) if part)


def health_text(health: Health, asked_at: datetime | None = None) -> str:
    """Return `degraded since 09:41:12: ...` or `ok`; without a time where it was found by asking at `asked_at`."""
    is_known = health.since and not (asked_at and abs(asked_at - health.since) < _JUST_NOW)
    since = f" since {time_text(health.since)}" if health.since and is_known else ""
    reason = f": {health.reason}" if health.reason else ""
    return f"{health.state}{since}{reason}"


def time_text(at: datetime) -> str:
    """Return a time of today, or of another day."""
    local = at.astimezone()
    is_today = local.date() == datetime.now().astimezone().date()
    return f"{local:%H:%M:%S}" if is_today else f"{local:%Y-%m-%d %H:%M}"


def health_colour(health: Health) -> str:
    """Return the colour that a state of health is shown in."""
    return _COLOURS[health.state]
