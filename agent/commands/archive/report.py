"""`liput archive report`: makes the report of a session again from its package."""

from pathlib import Path

import click
import msgspec

from agent.archives.selection import archive_option, archives_of, find_package
from agent.terminal.parameters import json_option, print_result
from config.errors import ArchiveError
from config.locale.lookup import LANGUAGES
from config.settings.schema import load_settings
from recorder.disk.durable import PRIVATE_MODE, publishing
from recorder.features.report.report_step import report_options
from recorder.package.metadata import PackageState, ReportOptions
from recorder.package.verification import refuse_pruned

file_path = click.Path(path_type=Path, dir_okay=False)


@click.command("report")
@click.argument("package_id", metavar="ID")
@click.option("--pdf", "pdf", metavar="FILE", type=file_path, help="Write the PDF there; without --html: ID.pdf.")
@click.option("--html", "html", metavar="FILE", type=file_path, help="Write the page there.")
@click.option("--language", type=click.Choice(LANGUAGES), help="The language.  [default: from the settings]")
@archive_option
@json_option
def report_command(
    package_id: str, pdf: Path | None, html: Path | None, folder: Path | None, language: str | None, *, as_json: bool
) -> None:
    """Regenerate the report of a sealed recording. ID is its name, UUID or path, or the beginning of one.

    The package does not change. Existing files are not overwritten.

    \b
    Examples:
        liput archive report 3f2a91c0
        liput archive report 3f2a91c0 --language en --pdf report.pdf --html report.html
    """  # noqa: D301 - click's mark for a paragraph that keeps its lines
    _, package = find_package(archives_of(folder), package_id)
    refuse_pruned(package.folder)
    if package.state is not PackageState.SEALED:
        raise ArchiveError(f"{package.id} is {package.state}: there is nothing to report", hint="liput recover")
    settings = load_settings()
    if pdf is None and html is None:
        pdf = Path(f"{package.id}.pdf")
    page = _page(package.folder, package.id, report_options(settings.report), language or settings.general.language)
    if html is not None:
        _write(html, page)
    if pdf is not None:
        from recorder.features.report.printing import print_pdf

        _write(pdf, print_pdf(page))
    line = {"id": package.id, "html": html and str(html), "pdf": pdf and str(pdf)}
    print_result(line, "\n".join(str(file) for file in (html, pdf) if file is not None), as_json=as_json)


def _page(folder: Path, name: str, wishes: ReportOptions | None, language: str) -> bytes:
    from recorder.features.report.material import read_material
    from recorder.features.report.page import report_page

    try:
        return report_page(read_material(folder, name), wishes or ReportOptions(), language)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise ArchiveError(
            f"{name} cannot be reported: {error}", hint=f"liput archive verify {name} lists the faults"
        ) from None


def _write(file: Path, content: bytes) -> None:
    with publishing(file, len(content), mode=PRIVATE_MODE) as part:
        part.write_bytes(content)
