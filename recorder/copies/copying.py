"""Making one copy of one package, so that it is whole before it counts.

Every file is sent and then read back from the place and hashed; what is there already and right is not sent again, so
a copy that was stopped at any moment goes on. docs/copies.md lists what a kill at each step leaves.
"""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from devices.host.clock import Clock
from recorder.archive import bag
from recorder.archive.fixity import Progress, Tally, sha256
from recorder.archive.model import Problem, ProblemKind
from recorder.copies.contents import Item, Listing, contents_here, holds_all_of, listed_there
from recorder.copies.reasons import CopyReason, copy_error
from recorder.copies.recognizing import refuse_links
from recorder.copies.target import Flow, Target


@dataclass(frozen=True)
class Copier:
    """Makes copies at one place. `rate` in bits a second; `go_on` raises CopyError where it has to end for now.

    `offer` is told of the state that is sent before it is.
    """

    target: Target
    rate: int | None = None
    go_on: Callable[[], None] = lambda: None
    progress: Progress | None = None
    clock: Clock | None = None
    offer: Callable[[str], None] = lambda _: None

    def copy(
        self, folder: Path, place: str, last_version: str | None = None, offered: Collection[str] = ()
    ) -> tuple[Listing, int]:
        """Make a copy of the package at `folder`, or put right the one that is there; return it once it is whole.

        `last_version` is what was put there from here before, None for nothing; `offered` what attempts since then may
        have put there that were stopped. Returns how many bytes had to be sent, too. Raises CopyError.
        """
        self.go_on()
        contents = contents_here(folder)
        flow = Flow(Tally(2 * contents.size, self.progress), self.rate, self.go_on, self.clock)
        work = self._where(contents, folder, place, last_version, offered)
        self.offer(contents.version)
        there, others = self.target.walk(work)
        if others:
            raise copy_error(CopyReason.CHANGED_THERE, self.target.name, f"{work} holds a link")
        sent = 0
        for item in contents.items:
            if self._is_there(item, work, there, flow):
                continue
            sent += self._send(folder / item.path, item, work, flow)
        self._remove_rest(contents, work)
        self.target.finish(work, place)
        refuse_links(self.target, place)
        return contents, sent

    def _where(
        self, contents: Listing, folder: Path, place: str, last_version: str | None, offered: Collection[str]
    ) -> str:
        """Return the folder to write into: the package's own, where it is there and may be put right, or a new one."""
        files, others = self.target.walk(place)
        if bag.TAG_MANIFEST_FILE not in files:
            work = self.target.begin(place, contents.uuid)
            if not files or work == place:
                return work  # where nothing can be renamed, this is what an attempt has left that was stopped
        listing = Listing(files, others, lambda name, size: b"".join(self.target.read(f"{place}/{name}", size)))
        if listing.version == contents.version:
            return place
        if listing.uuid not in {"", contents.uuid}:
            raise copy_error(CopyReason.NAME_TAKEN, self.target.name, place)
        if listing.version in {last_version, *offered}:
            if not holds_all_of(contents, folder, listing):
                raise copy_error(CopyReason.NAME_TAKEN, self.target.name, place)
            return place  # it was changed here since
        if last_version == contents.version and problems_there(self.target, listing, place):
            return place  # it was damaged there since
        raise copy_error(CopyReason.CHANGED_THERE, self.target.name, place)

    def _is_there(self, item: Item, work: str, there: dict[str, int], flow: Flow) -> bool:
        if there.get(item.path) != item.bytes or not digest_there(self.target, f"{work}/{item.path}", item, flow):
            return False
        if flow.tally is not None:
            flow.tally.add(item.bytes)  # what need not be sent
        return True

    def _send(self, source: Path, item: Item, work: str, flow: Flow) -> int:
        """Send one file and read it back; one that was gone on with and is wrong is sent once more from its start.

        Returns how many bytes were sent.
        """
        path = f"{work}/{item.path}"
        resumed = self.target.write(path, source, flow)
        if digest_there(self.target, path, item, flow):
            return item.bytes - resumed
        if resumed:
            self.target.write(path, source, flow, from_start=True)
            if digest_there(self.target, path, item, flow):
                return item.bytes
        self._refuse(source, item)
        return 0

    def _refuse(self, source: Path, item: Item) -> None:
        """Raise CopyError for a file that arrived as something else, with whether it was damaged before that."""
        try:
            here = sha256(source, Tally(0, None))
        except OSError:
            here = ""
        reason = CopyReason.DAMAGED_ON_THE_WAY if here == item.digest else CopyReason.DAMAGED_HERE
        raise copy_error(reason, self.target.name, item.path)

    def _remove_rest(self, contents: Listing, work: str) -> None:
        """Remove what an earlier state of the package, or a stopped attempt, has left beside its files."""
        files, _ = self.target.walk(work)
        for path in files.keys() - contents.digests.keys():
            self.target.remove(f"{work}/{path}")
        missing = [item.path for item in contents.items if files.get(item.path) != item.bytes]
        if missing:
            raise copy_error(CopyReason.DAMAGED_ON_THE_WAY, self.target.name, missing[0])


def digest_there(target: Target, path: str, item: Item, flow: Flow) -> bool:
    """Read a file from a place; return whether it is the one that it should be."""
    digest = hashlib.sha256()
    for block in target.read(path, item.bytes):
        digest.update(block)
        flow.read(len(block))
    return digest.hexdigest() == item.digest


def problems_there(target: Target, listing: Listing, place: str, flow: Flow | None = None) -> list[Problem]:
    """Read all of a package at a place that `listing` lists; return what is wrong with it, nothing if it is whole."""
    flow = flow or Flow()
    changed = [item for item in listing.items if not digest_there(target, f"{place}/{item.path}", item, flow)]
    said = "is changed: its SHA-256 is not the one listed"
    return [*listing.problems, *(Problem(item.path, said, ProblemKind.CHANGED) for item in changed)]


def whole_there(target: Target, place: str, flow: Flow | None = None) -> Listing:
    """Return what the package at a place lists once all of it was read and is right; raises CopyError."""
    listing = listed_there(target, place)
    if wrong := problems_there(target, listing, place, flow):
        raise copy_error(CopyReason.DAMAGED_THERE, target.name, wrong[0].file)
    return listing
