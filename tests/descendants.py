"""What a process has started, and which of it still runs after the process has ended."""

import psutil

GONE_SECONDS = 10.0


def descendants_of(pid: int) -> dict[psutil.Process, str]:
    """Every process below this one, with its name; some may end while they are listed."""
    named = {}
    for process in psutil.Process(pid).children(recursive=True):
        try:
            named[process] = process.name()
        except psutil.NoSuchProcess:
            continue
    return named


def still_running(processes: dict[psutil.Process, str]) -> list[str]:
    """The names of those that run on after a while."""
    _, alive = psutil.wait_procs(list(processes), timeout=GONE_SECONDS)
    return sorted(processes[process] for process in alive if not _is_dead(process))


def _is_dead(process: psutil.Process) -> bool:
    """A zombie is: it only waits for the machine's first process to notice."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
