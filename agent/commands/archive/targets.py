"""Copies at targets, for commands: the queue of copies, the packages at one target and their verification."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import click

from agent.archives.selection import archives_of
from agent.terminal.progress import progress_bar
from config.settings.schema import Settings, load_settings
from devices.health.log_writer import open_health_log
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.archive.fixity_round import FixityEntry, FixityLog
from recorder.features.copies.copy_queue import CopyLedger, CopyQueue
from recorder.features.copies.package_copy import list_remote, verify_remote
from recorder.features.copies.places import (
    find_place,
    list_packages,
    list_places,
    open_target,
    search_packages,
    settings_queue,
)
from recorder.features.copies.target import Target
from recorder.package.bag import TAG_MANIFEST_FILE
from recorder.package.metadata import Package
from recorder.package.verification import VerificationResult

at_option = click.option("--at", "target_name", metavar="TARGET", help="At a place of [copies], not here.")


@contextmanager
def copy_queue(folder: Path | None) -> Iterator[tuple[CopyQueue, Settings, list[Archive]]]:
    """Yield the queue of the settings' places; it writes to the health log."""
    settings, clock = load_settings(), SystemClock()
    archives = archives_of(folder)
    with open_health_log(settings, clock) as record:
        roots = [archive.root for archive in archives]
        yield settings_queue(settings, roots, clock, record), settings, archives


def packages_at(name: str, words: str | None = None) -> Sequence[Package]:
    """Return the packages at a place, oldest first; with `words`, those with them in their description."""
    with closing(open_target(load_settings(), name)) as target:
        found = list_packages(target)
    return found if words is None else search_packages(found, words)


def places_of(target: Target, key: str | None) -> list[str]:
    """Return the place of one package, or of all completely copied ones."""
    if key is not None:
        return [find_place(target, key)]
    return [place for place, files in list_places(target).items() if TAG_MANIFEST_FILE in files]


def verified_at(name: str, key: str | None, *, shown: bool) -> Iterator[tuple[VerificationResult, int]]:
    """Verify one package at a place, or all complete ones, and log it; yield verdicts and bytes."""
    ledger, log, clock = CopyLedger(), FixityLog(), SystemClock()
    with closing(open_target(load_settings(), name)) as target:
        for place in places_of(target, key):
            package = place.rpartition("/")[2]
            with progress_bar(package, shown=shown) as progress:
                listing = list_remote(target, place)
                problems = verify_remote(target, place, progress, listing)
            now = clock.now()
            if problems:
                ledger.seen_damaged(package, name)
            elif ledger.rows_of(package).get(name):
                ledger.seen_whole(package, name, listing.version, listing.size, now)
            log.add(
                FixityEntry(
                    at=now, package=package, bytes=listing.size, found=len(problems), problems=tuple(problems),
                    outcome="copy-damaged" if problems else "copy-whole", note=f"at {name}",
                )
            )  # fmt: skip
            yield VerificationResult(id=package, ok=not problems, problems=problems, decoded=False), listing.size
