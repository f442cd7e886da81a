"""What `liput archive list` and `verify` do with `--at TARGET`: a place that many PCs keep copies at."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import click

from agent.terminal.progress import progress_bar
from config.settings.loading import load_settings
from devices.host.clock import SystemClock
from recorder.archive.fixity_round import Entry, FixityLog
from recorder.features.copies import inspecting
from recorder.features.copies.copying import Listing, listed_there
from recorder.features.copies.ledger import Ledger
from recorder.features.copies.queue import open_target
from recorder.features.copies.target import Target
from recorder.package import bag
from recorder.package.manifest import Package, Problem
from recorder.package.verification import Verdict

at_option = click.option("--at", "target_name", metavar="TARGET", help="Not here but at a place of [copies].")


def packages_of(ctx: click.Context, name: str, words: str | None = None) -> Sequence[Package]:
    """Return the packages at a place, the oldest first; with `words` those in whose description they stand."""
    with closing(open_target(load_settings(ctx.find_object(Path)), name)) as target:
        found = inspecting.packages_at(target)
    return found if words is None else inspecting.found_in(found, words)


def places_of(target: Target, key: str | None) -> list[str]:
    """Return the place of one package, or without `key` those of all that were copied to their end, whole or not."""
    if key is not None:
        return [inspecting.find_place(target, key)]
    return [place for place, files in inspecting.places(target).items() if bag.TAG_MANIFEST_FILE in files]


def verified_at(ctx: click.Context, name: str, key: str | None, *, shown: bool) -> Iterator[tuple[Verdict, int]]:
    """Verify one package at a place, or all complete ones, and remember it; yield what is found and its bytes."""
    with closing(open_target(load_settings(ctx.find_object(Path)), name)) as target:
        for place in places_of(target, key):
            package = place.rpartition("/")[2]
            with progress_bar(package, shown=shown) as progress:
                listing = listed_there(target, place)
                problems = inspecting.verify_at(target, place, progress, listing)
            _remember(package, name, listing, problems)
            yield Verdict(id=package, ok=not problems, problems=problems, decoded=False), listing.size


def _remember(package: str, target: str, listing: Listing, problems: list[Problem]) -> None:
    ledger, now = Ledger(), SystemClock().now()
    if problems:
        ledger.seen_damaged(package, target)
    elif ledger.rows_of(package).get(target):
        ledger.seen_whole(package, target, listing.version, listing.size, now)
    FixityLog().add(
        Entry(
            at=now, package=package, bytes=listing.size, found=len(problems), problems=tuple(problems),
            outcome="copy-damaged" if problems else "copy-whole", note=f"at {target}",
        )
    )  # fmt: skip
