"""The virtual microphone of PulseAudio or PipeWire: a null sink, and a source that gives its audio."""

from collections.abc import Callable
from dataclasses import dataclass

from capture.sound.server import NoServerError, connected
from devices.host.deadline import DeadlineTask

WAIT_S = 5.0
LABEL = "Liput"  # the name of both in applications


@dataclass(frozen=True, slots=True)
class VirtualMicrophone:
    """The parts that exist in the sound server; `modules` are the indices of our modules."""

    is_pipewire: bool
    sink: bool
    source: bool
    modules: tuple[int, ...]


def source_name(sink: str) -> str:
    """Return the name of the source for audio played into `sink`."""
    return f"{sink}_microphone"


def modules(sink: str) -> dict[str, str]:
    """Return the modules to load, in order, with their arguments."""
    return {
        "module-null-sink": f"sink_name={sink} channels=2 rate=48000 sink_properties=device.description={LABEL}",
        "module-remap-source": (
            f"source_name={source_name(sink)} master={sink}.monitor source_properties=device.description={LABEL}"
        ),
    }


def find(sink: str) -> VirtualMicrophone:
    """Return the parts that exist; raises NoServerError."""

    def ask() -> VirtualMicrophone:
        with connected() as pulse:
            ours = [one.index for one in pulse.module_list() if _is_ours(one.name, one.argument or "", sink)]
            return VirtualMicrophone(
                is_pipewire="PipeWire" in (pulse.server_info().server_name or ""),
                sink=any(one.name == sink for one in pulse.sink_list()),
                source=any(one.name == source_name(sink) for one in pulse.source_list()),
                modules=tuple(ours),
            )

    return _within(ask)


def make(sink: str) -> None:
    """Create the missing parts; raises NoServerError."""
    there = find(sink)
    wanted = modules(sink)

    def load() -> None:
        with connected() as pulse:
            if not there.sink:
                pulse.module_load("module-null-sink", wanted["module-null-sink"])
            if not there.source:
                pulse.module_load("module-remap-source", wanted["module-remap-source"])

    _within(load)


def remove(sink: str) -> int:
    """Unload it; return the number of modules unloaded. Raises NoServerError."""
    there = find(sink)

    def unload() -> int:
        with connected() as pulse:
            for module in reversed(there.modules):
                pulse.module_unload(module)
        return len(there.modules)

    return _within(unload)


def _is_ours(name: str, argument: str, sink: str) -> bool:
    words = argument.split()
    return (name == "module-null-sink" and f"sink_name={sink}" in words) or (
        name == "module-remap-source" and f"source_name={source_name(sink)}" in words
    )


def _within[Answer](ask: Callable[[], Answer]) -> Answer:
    """Run `ask` on its own thread, abandoned after WAIT_S."""
    late = NoServerError(f"the sound server does not answer within {WAIT_S:g} s")
    try:
        return DeadlineTask(ask, "virtual-microphone").get(WAIT_S, late)
    except NoServerError:
        raise
    except Exception as error:  # pulsectl has several kinds
        raise NoServerError(f"the sound server refuses: {error!r}") from error
