"""Is a file open for writing somewhere? A read lease says so: the kernel grants none while it is. (S15)"""

from __future__ import annotations

import errno
import fcntl
import os
import signal

#: F_SETSIG: which signal a broken lease sends; the usual SIGIO would end the process, SIGURG is ignored
_F_SETSIG = 10
_CANNOT_TELL = (errno.EINVAL, errno.EACCES, errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)


def is_open_for_writing(folder: int, name: bytes) -> bool:
    """False also where it cannot be told (a stranger's file, a network file system, a file that went)."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOATIME
    try:
        descriptor = os.open(name, flags, dir_fd=folder)
    except OSError:  # O_NOATIME is refused for a stranger's file, of which no lease is given either
        return False
    try:
        fcntl.fcntl(descriptor, _F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno not in _CANNOT_TELL
    finally:
        os.close(descriptor)
    return False
