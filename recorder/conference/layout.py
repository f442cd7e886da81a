"""Mix-minus for pictures: the layouts of a program without what comes from the far side."""

from collections.abc import Collection, Mapping, Sequence

import msgspec

from capture.compose.layout import Layout
from config.errors import UsageError
from config.program import SINGLE, LayoutSettings


def near_layouts(
    layouts: Mapping[str, LayoutSettings], inputs: Sequence[str], far: Collection[str]
) -> dict[str, LayoutSettings]:
    """Return `layouts` as they are for the `inputs` that are not `far`.

    A place that showed one of the far side goes to the next input that is not. One that names an input this session
    does not have is left out: nobody can show it. `single` is always among them.
    """
    near = {SINGLE: LayoutSettings(kind=SINGLE)}
    for name, settings in layouts.items():
        try:
            named = Layout(name, settings).named(inputs)
        except UsageError:
            continue
        near[name] = msgspec.structs.replace(settings, show=tuple(one for one in named if one not in far))
    return near
