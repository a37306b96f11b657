"""Starts one server so that it cannot outlive the process that asked for it: run as a script, never imported.

It gives up root where another user is named, asks the kernel for a signal at the parent's death, and becomes the
server by exec. A small process of its own rather than code between fork and exec, which is unsafe beside threads.
Arguments: parent's pid, signal number, user ("-" keeps the present one), command. Knows nothing of the servers.
"""

import ctypes
import os
import pwd
import sys

PR_SET_PDEATHSIG = 1


def become_user(name: str) -> None:
    entry = pwd.getpwnam(name)
    os.setgroups([entry.pw_gid])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def follow_parent(parent_pid: int, death_signal: int) -> None:
    """Ask for the signal, then see whether the parent died before it was asked for."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:
        raise SystemExit(1)


def main(arguments: list[str]) -> None:
    parent_pid, death_signal, user, *command = arguments
    if user != "-":
        become_user(user)
    # A change of user clears the parent-death signal, so it is asked for last.
    follow_parent(int(parent_pid), int(death_signal))
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
