"""Follows redirects within one server only, and never from TLS to none."""

import urllib.parse
import urllib.request
from http.client import HTTPMessage
from typing import IO


class SameServerRedirects(urllib.request.HTTPRedirectHandler):
    """Leaves other redirects an HTTPError: addresses and headers hold secrets, and internal hosts are not asked."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """Return the next request, None for another server."""
        here, there = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        is_upgrade = (here.scheme, there.scheme) == ("http", "https")
        if here.hostname != there.hostname or not (is_upgrade or here[:2] == there[:2]):
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)
