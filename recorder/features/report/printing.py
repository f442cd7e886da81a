"""The report as a PDF: WeasyPrint in a process of its own, with limits, so that sealing stays small."""

import os
import resource
import subprocess
import sys

from config.errors import LiputError

LIMIT_S = 60.0
"""How long making a PDF may take."""
_CPU_S = 60
_MEMORY = 1 << 30
"""Bytes of address space: WeasyPrint takes some 300 MB of it for a report, shared libraries included."""
_NICE = 10
_VARIANT = "pdf/a-3b"


def print_pdf(page: bytes) -> bytes:
    """Return the PDF/A-3b of a page that stands alone; raises LiputError with the reason where there is none."""
    command = [sys.executable, "-P", "-m", "recorder.features.report.printing"]
    # Libraries are asked for under names that other systems have, and of those gcc is asked, where it is found: 0.2 s.
    variables = os.environ | {"PATH": ""}
    try:
        done = subprocess.run(command, input=page, capture_output=True, timeout=LIMIT_S, check=False, env=variables)
    except subprocess.TimeoutExpired:
        raise LiputError(f"making the PDF took longer than {LIMIT_S:.0f} s") from None
    except OSError as error:
        raise LiputError(f"making the PDF could not begin: {error.strerror}") from None
    if done.returncode != 0 or not done.stdout.startswith(b"%PDF-"):
        raise LiputError(f"no PDF could be made: {_reason(done.returncode, done.stderr.decode(errors='replace'))}")
    return done.stdout


def _reason(status: int, said: str) -> str:
    if "PANGO_IS_FONT" in said:  # and then it crashes
        return "there is no font; the package fonts-liberation has one"
    lines = said.strip().splitlines()
    return lines[-1] if lines and status > 0 else f"its process ended with {status}"


def main() -> None:
    """Print the page on standard input to standard output."""
    from devices.host.child import end_with_parent
    from devices.host.priority import be_at_least

    end_with_parent()
    be_at_least(_NICE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S + 1))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    sys.stdout.buffer.write(_printed(sys.stdin.buffer.read()))
    sys.stdout.flush()
    # Pango has a thread that looks for fonts: where it still does when the libraries are taken away, it crashes.
    os._exit(0)


def _printed(page: bytes) -> bytes:
    import weasyprint
    from weasyprint.urls import URLFetcher

    only_what_is_in_it = URLFetcher(allowed_protocols=["data"])
    document = weasyprint.HTML(string=page.decode(), url_fetcher=only_what_is_in_it, base_url=None)
    content: bytes = document.write_pdf(pdf_variant=_VARIANT)
    return content


if __name__ == "__main__":
    main()
