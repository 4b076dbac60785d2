"""Contestants in processes of their own, so that they share neither threads nor memory."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any

from ddpg.base.errors import InputError
from ddpg.base.memory import peak_memory
from ddpg.base.progress import fleeting
from turns import Turn

Makers = dict[str, tuple[Any, ...]]
"""For each contestant what builds its object, and the arguments."""


class Worker:
    """An object in a process of its own, which works only while it is called.

    Args:
        name: of the contestant, for messages.
        make: builds the object, in the process.
        arguments: of `make`.

    Raises:
        InputError: if the object cannot be built, or its process has ended.
    """

    seconds: float
    """that the latest call took"""
    memory: float
    """peak memory of the process so far, in MiB"""

    def __init__(self, name: str, make: Callable[..., Any], *arguments: Any) -> None:
        self._name = name
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, make, arguments), daemon=True)
        self._start()
        other.close()
        self._receive()

    def _start(self) -> None:
        """Start the process whole, Ctrl-C or not, and without a Ctrl-C of its own: that is for the parent."""
        asked: list[int] = []
        former = signal.signal(signal.SIGINT, lambda number, frame: asked.append(number))
        resource_tracker.ensure_running()  # which would unblock the signal
        os.environ["TQDM_DISABLE"] = "1"  # heeded where tqdm is imported only then: not here
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        self._process.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        signal.signal(signal.SIGINT, former)
        if asked:
            raise KeyboardInterrupt

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join(timeout=5)
        self._process.kill()

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the object and return its value."""
        self._connection.send((method, arguments))
        return self._receive()

    def turn(self, units: int, method: str, *arguments: Any) -> Turn:
        """Return a turn that calls a method, timed by the unit of its work."""

        def turn() -> float:
            self.call(method, *arguments)
            return self.seconds / units

        return turn

    def _receive(self) -> Any:
        try:
            reply = self._connection.recv()
        except EOFError:
            raise InputError(f"{self._name}: its process has ended; what it wrote above says why.") from None
        if isinstance(reply, InputError):
            raise InputError(f"{self._name}: {reply}")
        value, self.seconds, self.memory = reply
        return value


@contextmanager
def started(makers: Makers) -> Iterator[dict[str, Worker]]:
    """Yield a worker for each contestant."""
    with ExitStack() as stack:
        names = fleeting(makers, "starting", " processes")
        yield {name: stack.enter_context(closing(Worker(name, *makers[name]))) for name in names}


def _serve(connection: Connection, make: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    with suppress(EOFError, BrokenPipeError):  # the parent has closed its end
        try:
            built = make(*arguments)
            connection.send((None, 0.0, peak_memory()))
            while True:
                method, arguments = connection.recv()
                started = time.perf_counter()
                value = getattr(built, method)(*arguments)
                connection.send((value, time.perf_counter() - started, peak_memory()))
        except InputError as error:
            connection.send(error)
