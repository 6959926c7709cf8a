"""A parent for one command: when tuner goes, however it goes, the command and all it started go too.

Run as a script (`python -I -S guard.py CONTROL_FD STATUS_FD NICE COMMAND …`), so it imports nothing of
tuner and little else: it is started for every server and every compiler run.

Why a process of its own: PR_SET_PDEATHSIG follows the *thread* that forked and reaches only the direct
child, so killing tuner would leave ninja's compilers. The guard is single-threaded, adopts orphaned
descendants (PR_SET_CHILD_SUBREAPER), and learns of tuner's death from the end of a pipe.

Control pipe (from tuner): `T` terminates the command's group, `K` kills it with every descendant; its
end means that tuner is gone, and is taken as `K`. Status pipe (to tuner): `pid N`, or `error N` with an
errno when the command could not be started, then `exit N`, 128 + S for a command that signal S ended.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def main(control: int, status: int, nice: int, argv: list[str]) -> int:
    """Run `argv` to its end; returns its exit code."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(ignored, signal.SIG_IGN)  # only the control pipe decides
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    child, errno = _start(libc, nice, argv, keep_out=(control, status, wake_read, wake_write))
    if errno:
        _report(status, f"error {errno}\n")
        return 127
    _report(status, f"pid {child}\n")
    watched = [control, wake_read]
    exit_code = None
    while exit_code is None:
        readable, _, _ = select.select(watched, [], [], 5.0)
        if control in readable:
            command = os.read(control, 1)
            if command == b"T":
                _signal_group(child, signal.SIGTERM)
            else:
                _signal_group(child, signal.SIGKILL)
                _kill_descendants()
                if not command:  # tuner is gone: the pipe stays readable, so stop watching it
                    watched = [wake_read]
        if wake_read in readable:
            os.read(wake_read, 4096)
        exit_code = _reap(child)
    _signal_group(child, signal.SIGKILL)
    _kill_descendants()
    _report(status, f"exit {exit_code}\n")
    return exit_code


def _start(libc: ctypes.CDLL, nice: int, argv: list[str], keep_out: tuple[int, ...]) -> tuple[int, int]:
    """Fork and exec; (pid, 0), or (pid, errno) when exec failed."""
    error_read, error_write = os.pipe()
    guard = os.getpid()
    child = os.fork()
    if child:
        os.close(error_write)
        errno = os.read(error_read, 16)
        os.close(error_read)
        return child, int(errno or 0)
    try:
        os.setsid()
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != guard:
            os._exit(127)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        for descriptor in (*keep_out, error_read):
            os.close(descriptor)
        if nice:
            os.nice(nice)
        os.execvp(argv[0], argv)  # noqa: S606  there is no shell, on purpose
    except OSError as error:
        os.write(error_write, str(error.errno or 1).encode())
    os._exit(127)


def _report(status: int, line: str) -> None:
    try:
        os.write(status, line.encode())
    except OSError:
        return  # tuner is gone; what remains is to clean up


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def _reap(child: int) -> int | None:
    """Collect whatever ended; the command's exit code if it was among them."""
    exit_code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return exit_code
        if pid == 0:
            return exit_code
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            exit_code = code if code >= 0 else 128 - code


def _kill_descendants() -> None:
    """SIGKILL everything below this process, again until nothing is left: the dying may have forked."""
    for _ in range(50):
        below = _descendants()
        if not below:
            return
        for pid in below:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        select.select([], [], [], 0.01)


def _descendants() -> list[int]:
    """Living processes below this one, from /proc/PID/stat (state and parent follow the last bracket)."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[0] != b"Z":
            children.setdefault(int(fields[1]), []).append(int(entry))
    found: list[int] = []
    queue = [os.getpid()]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))
