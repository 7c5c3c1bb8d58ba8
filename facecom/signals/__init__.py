"""Ctrl-C and SIGTERM end a program in one line, with the exit code that shells expect: 130 and 143.

Programs call `end_in_one_line` before they import anything that takes long: this module imports next to nothing.
"""

import os
import signal
import sys
from typing import Any


class Terminated(BaseException):
    """SIGTERM was sent."""


def end_in_one_line() -> None:
    """From now on the signals end the process at once: for its beginning, when there is nothing to put in order."""
    # A shell's background jobs ignore Ctrl-C, and are left so.
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
        if signal.getsignal(number) is usual:
            signal.signal(number, _end)


def _end(number: int, frame: Any) -> None:
    os.write(2, b"stopped\n")
    os._exit(128 + number)


def leave(code: int) -> None:
    """End the process without unloading what is loaded, which takes half a second, and a tenth of a GB, where PyTorch
    has CUDA's libraries. What is to be done at the end (`atexit`) is done. Nothing where threads are still at work, and
    where another program runs this one: a notebook, a profiler."""
    import atexit
    import threading

    others = (thread for thread in threading.enumerate() if thread is not threading.main_thread())
    at_work = threading.current_thread() is not threading.main_thread() or not all(thread.daemon for thread in others)
    if at_work or sys.orig_argv[1:2] != sys.argv[:1] or sys.gettrace() or sys.getprofile():
        return
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # nobody reads it
            pass
    os._exit(code)


class Signals:
    """The signals while a command runs (`with`): an exception, KeyboardInterrupt or Terminated, so that files are whole
    or not there at all. From its end until `restore` they do nothing: it is being said why it ended.

    before: handlers by signal, to be put back; came: the signal that ended the run, None while there was none.
    """

    def __init__(self):
        self.before: dict[int, Any] = {}
        self.came: int | None = None
        self.over, self.process = False, os.getpid()

    def __enter__(self) -> "Signals":
        """Nothing in another thread than the first."""
        import threading

        if threading.current_thread() is threading.main_thread():
            self.before[signal.SIGTERM] = signal.signal(signal.SIGTERM, self._stop)
            if signal.getsignal(signal.SIGINT) in (signal.default_int_handler, _end):
                self.before[signal.SIGINT] = signal.signal(signal.SIGINT, self._stop)
        return self

    def __exit__(self, *error: Any) -> None:
        self.over = True
        if self.before and hasattr(signal, "SIGCHLD") and callable(signal.getsignal(signal.SIGCHLD)):
            # torch's handler raises for a worker that the same signal has ended.
            self.before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def restore(self, code: int = 0) -> None:
        """The handlers that were there before. code: that of a run of which has been said why it ended: a program that
        is on its way out leaves with it at the next signal, and in silence."""
        leaves = code and self.before.get(signal.SIGTERM) is _end
        for number, before in self.before.items():
            if not leaves or number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, (lambda *_: os._exit(code)) if leaves and before is _end else before)
        sys.unraisablehook = sys.__unraisablehook__

    def _stop(self, number: int, frame: Any) -> None:
        def torn_down(unraisable):  # it may complain; where it swallowed this very exception, the signal comes again
            import threading

            if unraisable.exc_type in (KeyboardInterrupt, Terminated):
                threading.Timer(0.05, os.kill, (os.getpid(), number)).start()

        if os.getpid() != self.process:  # a worker: the words are its parent's
            os._exit(128 + number)
        if self.over:
            return
        self.came, sys.unraisablehook = number, torn_down
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated
