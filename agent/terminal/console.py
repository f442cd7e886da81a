"""rich's console: it draws with its own escapes and strips those in texts."""

import sys
from collections.abc import Iterable

import rich.console
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment

from agent.terminal.terminal import own_output, printable


class Console(rich.console.Console):
    """Writes to standard output or standard error, without highlighting and markup."""

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        file = own_output(sys.stderr if stderr else sys.stdout)
        super().__init__(file=file, width=width, highlight=False, markup=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield segments; only rich's control segments keep control characters."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))
