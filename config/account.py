"""Whose process this is."""

import os
import pwd


def account() -> str:
    """Return the name of the account that this process runs in; its number where it has no name.

    What the environment says of it (LOGNAME, USER) anybody can set, and is not asked.
    """
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
