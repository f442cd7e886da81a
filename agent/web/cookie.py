"""What a request shows to be let in: the token itself, or the cookie of a browser that was let in."""

from http.cookies import CookieError, SimpleCookie

from starlette.types import Scope


def cookie_name(scope: Scope) -> str:
    """Return the name of our cookie: cookies know no ports, and two users of a PC may each have a page."""
    return f"liput-{(scope.get('server') or ('', 0))[1]}"


def bearer_of(authorization: str) -> str:
    """Return the token of an Authorization header, "" where it holds none."""
    scheme, _, word = authorization.partition(" ")
    return word.strip() if scheme.lower() == "bearer" else ""


def cookie_of(scope: Scope) -> str:
    """Return what our cookie says, "" where there is none."""
    jar: SimpleCookie = SimpleCookie()
    try:
        for key, value in scope["headers"]:
            if key == b"cookie":
                jar.load(value.decode("latin-1"))
    except CookieError:
        return ""
    found = jar.get(cookie_name(scope))
    return found.value if found else ""
