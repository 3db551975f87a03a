"""Processes of a run: waiting for a child, passing signals on, reporting a failed start.

Three processes make a run: the caller's, outside; the first process of the world's PID namespace,
which serves the machine, and with which the kernel ends all others; and the command.
"""

from __future__ import annotations

import json
import os
import signal
from typing import NoReturn

from iaactl.errors import HostError, IaactlError

_FORWARDED = frozenset((signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT))
ATTENDED = _FORWARDED | {signal.SIGCHLD}
# si_code of a signal from the terminal: the command is in the foreground group and has it already.
_SI_KERNEL = 0x80


def exit_status(status: int) -> int:
    """What a shell shows for a wait status: the exit code, or 128 + signal number."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def attend(child: int) -> int:
    """Wait for `child`, reap everything else, pass signals on; returns the exit status.

    ATTENDED signals have to be blocked in all threads of this process.
    """
    while True:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                pid = 0
            if pid == child:
                return exit_status(status)
            if pid == 0:
                break
        information = signal.sigwaitinfo(ATTENDED)
        if information.si_signo in _FORWARDED and information.si_code != _SI_KERNEL:
            os.kill(child, information.si_signo)


def block_signals() -> None:
    """Keep the attended signals for `attend`; threads started later inherit this."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ATTENDED)


def unblock_signals() -> None:
    """Give signals back their default meaning, as a freshly started command expects."""
    for number in (*_FORWARDED, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ATTENDED)


def report_failure(descriptor: int, error: BaseException) -> None:
    """Tell the process outside, through a pipe, why the world did not come up."""
    if isinstance(error, IaactlError):
        document = {"message": error.message, "hint": error.hint}
    elif isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        document = {
            "message": f"the simulated machine could not be set up: {where}{error.strerror}",
            "hint": None,
        }
    else:
        document = {"message": f"the simulated machine stopped: {error!r}", "hint": None}
    os.write(descriptor, json.dumps(document).encode())


def raise_reported(text: bytes) -> NoReturn:
    """Raise in the process outside what `report_failure` sent."""
    document = json.loads(text)
    raise HostError(document["message"], hint=document["hint"])


def execute(command: list[str], environment: dict[str, str], directory: str) -> NoReturn:
    """Become the command; 127 when it does not exist, 126 when it cannot be executed."""
    unblock_signals()
    try:
        os.chdir(directory)
        os.execvpe(command[0], command, environment)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)
