"""Prints the report as a PDF: WeasyPrint runs in a child process with limits."""

import os
import resource
import subprocess
import sys

from config.errors import LiputError

LIMIT_S = 60.0  # deadline of one PDF
_CPU_S = 60
_MEMORY = 1 << 30  # address space in bytes: WeasyPrint takes about 300 MB with shared libraries
_NICE = 10
_VARIANT = "pdf/a-3b"


def print_pdf(page: bytes) -> bytes:
    """Return a page as PDF/A-3b; raises LiputError with the reason."""
    command = [sys.executable, "-P", "-m", "recorder.features.report.printing"]
    # Without gcc in PATH, ctypes does not ask it for libraries under names of other systems: 0.2 s.
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
    if "PANGO_IS_FONT" in said:  # then Pango crashes
        return "there is no font; the package fonts-liberation has one"
    lines = said.strip().splitlines()
    return lines[-1] if lines and status > 0 else f"its process ended with {status}"


def main() -> None:
    """Print the page on standard input to standard output."""
    from devices.host.child import end_with_parent
    from devices.host.priority import ensure_niceness

    end_with_parent()
    ensure_niceness(_NICE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S + 1))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    sys.stdout.buffer.write(_printed(sys.stdin.buffer.read()))
    sys.stdout.flush()
    # Pango's font thread crashes if the libraries are unloaded under it.
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
