"""Progress bars on standard error, on a terminal only."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from recorder.package.fixity import Progress

type TellAmount = Callable[[str, int, int | None], None]
"""Takes the name of the work, the amount done and the total; None: not known yet."""


@contextmanager
def progress_bars(*, shown: bool, counted: bool = False) -> Iterator[TellAmount | None]:
    """Yield a callback that draws a bar for each name, in bytes or `counted`; None without a terminal."""
    if not shown or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    from agent.terminal.console import Console

    amount = MofNCompleteColumn() if counted else DownloadColumn()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), amount, TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, TaskID] = {}
        update: Callable[..., None] = bar.update

        def tell(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=total)
            update(tasks[name], completed=done, total=total)

        yield tell


@contextmanager
def progress_bar(label: str, *, shown: bool, counted: bool = False) -> Iterator[Progress | None]:
    """Yield a callback for one bar, drawn from the beginning; see `progress_bars`."""
    with progress_bars(shown=shown, counted=counted) as tell:
        if tell is None:
            yield None
            return
        tell(label, 0, None)
        yield partial(tell, label)
