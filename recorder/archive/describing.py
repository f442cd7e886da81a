"""The description of a package written anew: every file that says what it holds, from one changed description."""

from collections.abc import Mapping
from typing import Any

import msgspec

from config.errors import ArchiveError
from config.files import json_text
from recorder.archive import bag, premis
from recorder.archive.baginfo import bag_info
from recorder.archive.disk import PRIVATE
from recorder.archive.dublincore import dublin_core
from recorder.archive.model import Recording
from recorder.archive.premis import PremisEvent
from recorder.archive.readme import readme_files
from recorder.archive.rebuilding import Draft
from recorder.archive.work import DUBLIN_CORE_FILE, PREMIS_FILE, RECORDING_FILE

type Raw = dict[str, Any]
"""The content of recording.json as JSON has it: fields that a newer Liput wrote are kept as they are."""


def read_raw(draft: Draft) -> Raw:
    """Return the description of the package that is corrected."""
    raw: Raw = msgspec.json.decode(draft.read(RECORDING_FILE))
    return raw


def decoded(raw: Mapping[str, Any]) -> Recording:
    """Return what a changed description says; raises ArchiveError when it is none any more."""
    try:
        return msgspec.convert(raw, Recording)
    except msgspec.ValidationError as error:
        raise ArchiveError(f"This would not be a description any more: {error}") from None


def describe(draft: Draft, raw: Raw, happened: PremisEvent) -> None:
    """Let `draft` be described by `raw`, and its log of events go on with what `happened`."""
    recording = decoded(raw)
    draft.write(RECORDING_FILE, json_text(raw))
    draft.write(DUBLIN_CORE_FILE, dublin_core(recording))
    kept = bag.read_info(draft.read(bag.INFO_FILE))
    draft.write(bag.INFO_FILE, bag_info(recording, draft.sizes, kept.get("Bagging-Date", ""), kept))
    draft.write(PREMIS_FILE, draft.read(PREMIS_FILE) + premis.lines([happened]))
    for name, content in readme_files(recording, draft.paths).items():
        draft.write(name, content)
    for name, content in _report(draft).items():
        draft.write(name, content, mode=PRIVATE if recording.request else 0o666)


def _report(draft: Draft) -> dict[str, bytes]:
    from recorder.report.package import report_of_changed  # what draws its pictures takes a while to load

    changed = {**draft.written, bag.MANIFEST_FILE: bag.manifest_text(draft.payload)}
    return report_of_changed(draft.folder, changed)
