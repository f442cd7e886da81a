"""Whose process this is."""

import os
import pwd


def account() -> str:
    """Return the name of the account that this process runs in, else its number; LOGNAME and USER anybody can set."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
