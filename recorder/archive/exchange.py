"""Two names changed at one stroke, or a new one given only where there is none: Linux's renameat2 (renameat2(2)).

Python has neither. File systems that know no such rename say so (EINVAL).
"""

import ctypes
import errno
import os
from pathlib import Path

_AT_FDCWD = -100
_NOREPLACE, _EXCHANGE = 1, 2

NOT_HERE = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
"""What a file system says that knows no such rename."""


def exchange(first: Path, second: Path) -> None:
    """Let two files or folders of one file system change their names; at every moment both names are there.

    Raises OSError, one of NOT_HERE where the file system cannot do it.
    """
    _rename(first, second, _EXCHANGE)


def rename_new(source: Path, target: Path) -> None:
    """Rename `source` to `target`, where nothing is; raises FileExistsError where something is, else OSError."""
    try:
        _rename(source, target, _NOREPLACE)
    except OSError as error:
        if error.errno not in NOT_HERE:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        source.rename(target)


def _rename(source: Path, target: Path, how: int) -> None:
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(target))
    if renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), ctypes.c_uint(how)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))
