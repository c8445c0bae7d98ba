"""A kernel that does not know a system call: a seccomp filter that answers an error number, for this process and for good.

Only for a process that a test started for it. seccomp(2), linux/filter.h, linux/seccomp.h.
"""

from __future__ import annotations

import ctypes
import os
import struct

_PR_SET_SECCOMP, _MODE_FILTER, _PR_SET_NO_NEW_PRIVS = 22, 2, 38
_LOAD_WORD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def refuse(calls: dict[int, int]) -> None:
    """From now on these calls (by number) fail with these error numbers."""
    steps = [struct.pack("HBBI", _LOAD_WORD, 0, 0, 0)]  # the number is the first word of seccomp_data
    for number, error in calls.items():
        steps.append(struct.pack("HBBI", _JUMP_IF_EQUAL, 0, 1, number))
        steps.append(struct.pack("HBBI", _RETURN, 0, 0, _ERRNO | error))
    steps.append(struct.pack("HBBI", _RETURN, 0, 0, _ALLOW))
    program = _Program(len(steps), b"".join(steps))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0)):
        if libc.prctl(*arguments):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
