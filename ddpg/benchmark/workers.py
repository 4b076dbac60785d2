"""Contestants in processes of their own, so that neither threads nor memory of one are another's."""

import multiprocessing
import time
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, Self

from ddpg.base.errors import InputError
from ddpg.base.memory import peak_memory
from ddpg.base.progress import fleeting
from ddpg.benchmark.turns import Turn


class Reply(NamedTuple):
    """What a worker says of one call."""

    value: Any
    seconds: float


class Worker:
    """An object in a process of its own, which works only while it is called.

    Args:
        name: for messages.
        make: builds the object, there.
        arguments: of `make`.

    Attributes:
        memory: the process's peak so far, in MiB.

    Raises:
        InputError: if the object cannot be made.
    """

    def __init__(self, name: str, make: Callable[..., Any], *arguments: Any) -> None:
        self.name = name
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, make, arguments), daemon=True)
        self._process.start()
        other.close()
        try:
            self._receive()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def call(self, method: str, *arguments: Any) -> Reply:
        """Call the object's method, in its process."""
        self._connection.send((method, arguments))
        return self._receive()

    def turn(self, units: int, method: str, *arguments: Any) -> Turn:
        """A turn that is this call; its figure is that of one of so many units of work."""
        return lambda: self.call(method, *arguments).seconds / units

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join(timeout=5)
        self._process.kill()

    def _receive(self) -> Reply:
        try:
            reply = self._connection.recv()
        except EOFError:
            raise InputError(f"{self.name}: its process has ended; what it wrote above says why.") from None
        if isinstance(reply, InputError):
            raise InputError(f"{self.name}: {reply}")
        value, seconds, self.memory = reply
        return Reply(value, seconds)


def start(stack: ExitStack, makers: dict[str, tuple[Any, ...]]) -> dict[str, Worker]:
    """One worker for each name; what makes its object, and the arguments. The stack ends them."""
    names = fleeting(makers, "starting", " processes")
    return {name: stack.enter_context(Worker(name, *makers[name])) for name in names}


def _serve(connection: Connection, make: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
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
    except (EOFError, KeyboardInterrupt):
        pass  # the other side has closed, or the person wants an end
