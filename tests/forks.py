"""Runs a function in a forked process that dies in the middle: imports are not paid for again."""

import gc
import os
import random
import signal
import time

#: What comes between whole files: a writer may be killed before each of these.
STEPS = ("replace", "fsync", "unlink", "rename", "mkdir", "rmdir", "link")


def forked(call, *, die_at=None, die_after=None, die_when=None, silent=True) -> int:
    """Exit status as shells give it: 137 where it was killed, 0 where `call` came to its end, 1 for an exception.

    die_at: it kills itself before this step of the file system (`STEPS`, counted from 1); die_after: it is killed after
    so many seconds.
    """
    child = os.fork()
    if not child:
        gc.freeze()  # what other tests have left is not this process's to end, such as the workers of a loader
        code = 1
        try:
            if silent:
                nowhere = os.open(os.devnull, os.O_RDWR)
                for stream in (0, 1, 2):
                    os.dup2(nowhere, stream)
            if die_at is not None:
                _die_at(die_at)
            call()
            code = 0
        except SystemExit as left:
            code = left.code or 0
        finally:
            os._exit(code)
    if die_after is not None:
        time.sleep(die_after)
        os.kill(child, signal.SIGKILL)
    if die_when is not None:
        while not die_when() and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.001)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _die_at(step):
    count = [0]

    def counted(real):
        def call(*args, **kwargs):
            count[0] += 1
            if count[0] == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        return call

    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))


def moments(takes, count=20):
    """Random moments, in seconds, spread over the time that something takes, in no order."""
    rng = random.Random(count)
    found = [takes * (number + rng.random()) / count for number in range(count)]
    rng.shuffle(found)
    return found


def seconds(call):
    """How long a forked process takes for it."""
    began = time.monotonic()
    assert forked(call) == 0
    return time.monotonic() - began
