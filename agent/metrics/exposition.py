"""What Prometheus is given at /metrics.

The library is imported when somebody asks: most rooms have no Prometheus.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent.metrics.gathering import Gathering
from agent.metrics.names import METRICS, ROOM
from agent.metrics.readings import read
from agent.metrics.samples import Sample, samples
from config.schema import Settings
from config.version import VERSION
from recorder.archive.names import storable

if TYPE_CHECKING:
    from prometheus_client import Metric

DEADLINE_S = 2.0
"""How long all of it may take; Prometheus waits 10 s."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_GATHERING = Gathering()
"""One for the process: what hangs is not asked again by the next who comes."""


def expose(
    settings: Settings,
    *,
    roots: Sequence[Path],
    parts: Sequence[str] = (),
    standing: Sequence[str] = (),
    gathering: Gathering = _GATHERING,
    deadline_s: float = DEADLINE_S,
) -> bytes:
    """Return the answer to a scrape, in the text format of Prometheus (CONTENT_TYPE), after `deadline_s` at most.

    `roots`: the archives. `parts` are the names of the daemon's parts, `standing` those of them that hang. May be
    called from any thread; waits, so not from one that serves others.
    """
    from prometheus_client import CollectorRegistry, generate_latest

    readings = read(settings, roots, gathering, deadline_s)
    registry = CollectorRegistry()
    registry.register(_Found(samples(readings, VERSION, parts, standing), settings.general.room))
    return generate_latest(registry)


class _Found:
    """A collector of what was found out."""

    def __init__(self, found: Iterable[Sample], room: str) -> None:
        self._found = list(found)
        self._room = storable(room)

    def collect(self) -> "Iterator[Metric]":
        """Yield a family for each metric that has a value."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        for name, (text, labels, is_counter) in METRICS.items():
            family = (CounterMetricFamily if is_counter else GaugeMetricFamily)(name, text, labels=(ROOM, *labels))
            for sample in self._found:
                if sample.name == name:
                    values = [storable(sample.labels[label]) for label in labels]
                    family.add_metric([self._room, *values], float(sample.value))
            if family.samples:
                yield family
