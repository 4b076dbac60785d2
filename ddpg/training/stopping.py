"""Ctrl-C and SIGTERM as a request: the step under way is finished, the run saved, and then the program ends."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ddpg.environments import SIGNALS


class Stopped(BaseException):
    """Raised when a signal, of this number, told the program to stop. Like KeyboardInterrupt it is no error."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def status(self) -> int:
        """Exit status of the program, as shells define it."""
        return 128 + self.number


class StopRequest:
    """The number of the signal that has come, if one has."""

    number: int | None = None


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into a request; the second ends the program at once.

    Outside the main thread, which alone gets signals, there is never a request.
    """
    request = StopRequest()

    def ask(number: int, frame: FrameType | None) -> None:
        request.number = number
        for each in former:
            signal.signal(each, signal.SIG_DFL)
        if number not in (signal.SIGINT, signal.SIGTERM):  # nothing more can be written there
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
        os.write(2, b"\nStops after this step; once more stops at once.\n")  # nothing else is safe in a handler

    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    # Under nohup SIGHUP stays ignored. SIGINT does not, which scripts ignore in what they start in the background.
    asking = (signal.SIGINT, signal.SIGTERM)
    heeded = [each for each in SIGNALS if each in asking or signal.getsignal(each) is not signal.SIG_IGN]
    former = {each: signal.signal(each, ask) for each in heeded}
    try:
        yield request
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)
