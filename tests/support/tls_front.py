"""TLS in front of a plain server: stunnel, with a certificate that nobody but itself has signed."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from agent.sessions.receiver import HOST, free_port, start_server, stop_server, wait_until_listening

VALID = ("-days", "2")
EXPIRED = ("-not_before", "20200101000000Z", "-not_after", "20200201000000Z")


def make_certificate(folder: Path, name: str, dates: Sequence[str] = VALID) -> tuple[Path, Path]:
    """Make a self-signed certificate for the host `name`; return the files of certificate and key."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", str(key), "-out", str(certificate), *dates, "-subj", f"/CN={name}"),
            *("-addext", f"subjectAltName=DNS:{name}"),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


def make_signed_certificate(folder: Path, name: str) -> tuple[Path, Path, Path]:
    """Make an authority and a certificate for the host `name` signed by it; return authority, certificate, key."""
    authority, authority_key = make_certificate(folder, "authority")
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-CA", str(authority), "-CAkey", str(authority_key), "-keyout", str(key), "-out", str(certificate)),
            *("-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
        ],
        check=True,
        capture_output=True,
    )
    return authority, certificate, key


class TlsFront:
    """Takes TLS on `port` with a certificate for `name`, and passes on to `behind`, a port of loopback.

    `signed`: by an authority, which `authority` is then; else by nobody but itself.
    """

    def __init__(
        self,
        folder: Path,
        behind: int,
        name: str = "localhost",
        dates: Sequence[str] = VALID,
        *,
        signed: bool = False,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        if signed:
            self.authority, self.certificate, key = make_signed_certificate(folder, name)
        else:
            self.certificate, key = make_certificate(folder, name, dates)
        configuration = folder / "stunnel.conf"
        configuration.write_text(
            f"foreground = yes\npid =\nsyslog = no\n[rtmps]\naccept = {HOST}:{self.port}\n"
            f"connect = {HOST}:{behind}\ncert = {self.certificate}\nkey = {key}\n"
        )
        self._server = start_server(["stunnel4", str(configuration)], folder)
        if not wait_until_listening(self.port, self._server):
            stop_server(self._server)
            raise AssertionError((folder / "output").read_text())

    def url(self, key: str) -> str:
        return f"rtmps://localhost:{self.port}/live/{key}"

    def stop(self) -> None:
        stop_server(self._server)
