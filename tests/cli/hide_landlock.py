"""Runs a program (argv) in which the calls of Landlock fail, as in containers whose runtime does not know them."""

import ctypes
import errno
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, FILTER = 38, 22, 2
FIRST, LAST = 444, 446  # landlock_create_ruleset ... landlock_restrict_self, on every architecture
LOAD_NUMBER, AT_LEAST, MORE_THAN, RETURN = 0x20, 0x35, 0x25, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM

steps = b"".join(
    struct.pack("HBBI", *step)
    for step in [
        (LOAD_NUMBER, 0, 0, 0),
        (AT_LEAST, 0, 2, FIRST),
        (MORE_THAN, 1, 0, LAST),
        (RETURN, 0, 0, REFUSE),
        (RETURN, 0, 0, ALLOW),
    ]
)


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_char_p)]


libc = ctypes.CDLL(None, use_errno=True)
program = Program(len(steps) // 8, steps)
if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, FILTER, ctypes.byref(program)):
    sys.exit(os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
