"""Makes the report of a recording while it is sealed, and again for a corrected package."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from config.settings.schema import ReportSettings, Settings
from recorder.archive.seal_step import STEPS_SHARE, PlannedProgram, Seal, SealStep
from recorder.model import names
from recorder.package.metadata import Recording, ReportOptions, SealOptions
from recorder.package.work_folder import LEVELS_FILE

_SHARE_BEGIN, _SHEET_END = 0.5, 0.55  # of the progress of sealing


class ReportStep(SealStep):
    """Adds the report, and before it the thumbnails sheet and the levels of its plot."""

    def plan(self, options: SealOptions, settings: Settings, program: PlannedProgram) -> SealOptions:  # noqa: ARG002
        return msgspec.structs.replace(options, report=report_options(settings.report))

    def add_payload(self, seal: Seal, recording: Recording) -> None:
        if seal.options.report is not None:
            seal.attempt("thumbnails", lambda: _write_sheet(seal, recording))
            seal.attempt("levels", lambda: _write_levels(seal, recording))

    def add_tags(self, seal: Seal, recording: Recording) -> None:  # noqa: ARG002 - the report reads the files
        options = seal.options.report
        if options is not None:
            reason = seal.attempt("report", lambda: _write_report(seal, options))
            if reason:
                seal.problems.append(f"report.pdf: {reason}")

    def corrected(self, folder: Path, changed: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Return the report of a corrected package; raises LiputError."""
        from recorder.features.report.page import report_of_changed

        return report_of_changed(folder, changed)


def report_options(report: ReportSettings) -> ReportOptions | None:
    """Return the options of the report; None without a report."""
    if not report.made:
        return None
    logo, signers = str(report.logo or ""), report.signers[:3]
    return ReportOptions(pdf=report.pdf, address=report.address, logo=logo, signers=signers)


def _write_sheet(seal: Seal, recording: Recording) -> None:
    from recorder.features.report.material import SHEET_FILE, thumbnails_sheet

    sheet = thumbnails_sheet(seal.work.path, recording.media, seal.advance(recording, _SHARE_BEGIN, _SHEET_END))
    if sheet is not None:
        seal.disk.write(seal.work.path / SHEET_FILE, sheet)


def _write_levels(seal: Seal, recording: Recording) -> None:
    from recorder.features.report.material import read_levels

    levels = read_levels(seal.work.path, recording.media, seal.advance(recording, _SHEET_END, STEPS_SHARE))
    if levels is not None:
        seal.disk.write(seal.work.path / LEVELS_FILE, msgspec.json.encode(levels) + b"\n")


def _write_report(seal: Seal, options: ReportOptions) -> str:
    from recorder.features.report.page import write_report

    name = names.session_in_name(seal.work.name)
    return write_report(seal.work.path, name, options, seal.options.language, seal.disk)


STEP = ReportStep()
