"""What a request shows to be let in: the token itself, or the cookie of a browser that was let in."""

from starlette.types import Scope


def cookie_name(scope: Scope) -> str:
    """Return the name of our cookie: cookies know no ports, and two users of a PC may each have a page."""
    return f"liput-{(scope.get('server') or ('', 0))[1]}"


def bearer_of(authorization: str) -> str:
    """Return the token of an Authorization header, "" where it holds none."""
    scheme, _, word = authorization.partition(" ")
    return word.strip() if scheme.lower() == "bearer" else ""


def cookies_of(scope: Scope) -> list[str]:
    """Return what cookies of our name say: other servers of this host may set more, and a browser sends all of them."""
    jar = b";".join(value for key, value in scope["headers"] if key == b"cookie").decode("latin-1")
    pairs = (pair.partition("=") for pair in jar.split(";"))
    return [value.strip() for name, _, value in pairs if name.strip() == cookie_name(scope)]
