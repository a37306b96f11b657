"""Child processes: ready, ended, stopped, and started from any thread."""

import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from deploy.embedded.processes import ChildProcess, Command, ProcessFailed

GRACE_SECONDS = 5.0


def test_failed_process_shows_its_last_line(tmp_path: Path) -> None:
    process = _python(tmp_path, "print('first'); print('why it failed'); raise SystemExit(3)")
    with pytest.raises(ProcessFailed, match=r"ended with status 3; .*ends: why it failed"):
        process.wait_until_ready(lambda: False, timeout_seconds=30)


def test_slow_process_is_given_up(tmp_path: Path) -> None:
    process = _python(tmp_path, "import time; time.sleep(600)")
    with pytest.raises(ProcessFailed, match="was not ready in 0 s"):
        process.wait_until_ready(lambda: False, timeout_seconds=0.1)
    process.kill()


def test_input_is_on_no_command_line(tmp_path: Path) -> None:
    """What goes in on standard input arrives whole, and the process sees the end of it."""
    program = f"import sys; open({str(tmp_path / 'out')!r}, 'w').write(sys.stdin.read())"
    assert _python(tmp_path, program, stdin=b"secret").wait(30) == 0
    assert (tmp_path / "out").read_text() == "secret"


def test_deaf_process_is_killed(tmp_path: Path) -> None:
    started = tmp_path / "started"
    program = f"import signal, time; signal.signal(15, signal.SIG_IGN); open({str(started)!r}, 'w'); time.sleep(600)"
    process = _python(tmp_path, program)
    process.wait_until_ready(started.exists, timeout_seconds=30)
    process.stop(signal.SIGTERM, grace_seconds=0.1)
    assert process.wait(GRACE_SECONDS) == -signal.SIGKILL


def test_end_of_the_asking_thread_is_survived(tmp_path: Path) -> None:
    """The kernel's signal at a parent's death is tied to the thread that forked, which must not be the caller's."""
    started: list[ChildProcess] = []
    thread = threading.Thread(
        target=lambda: started.append(_python(tmp_path, "import time; time.sleep(600)"))
    )
    thread.start()
    thread.join()
    time.sleep(0.5)
    assert started[0].is_alive()
    started[0].kill()


def test_environment_is_not_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody's")
    program = (
        f"import os; open({str(tmp_path / 'out')!r}, 'w').write(os.environ.get('AWS_ACCESS_KEY_ID', 'unset'))"
    )
    _python(tmp_path, program).wait(30)
    assert (tmp_path / "out").read_text() == "unset"


def test_files_of_children_are_private(tmp_path: Path) -> None:
    _python(tmp_path, f"open({str(tmp_path / 'out')!r}, 'w')").wait(30)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "out", tmp_path / "log")}
    assert modes == {"out": 0o600, "log": 0o600}


def test_grown_log_is_set_aside(tmp_path: Path) -> None:
    with (tmp_path / "child.log").open("wb") as log:
        log.truncate(17_000_000)
    _python(tmp_path, "print('new')", log="child.log").wait(30)
    sizes = [(tmp_path / name).stat().st_size for name in ("child.log", "child.1.log")]
    assert sizes == [len("new\n"), 17_000_000]


def _python(folder: Path, program: str, *, stdin: bytes | None = None, log: str = "log") -> ChildProcess:
    arguments = [sys.executable, "-c", program]
    return ChildProcess("child", Command(arguments, cwd=folder, log=folder / log, stdin=stdin))
