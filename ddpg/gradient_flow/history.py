"""Passes and steps one by one, as far back as is worth keeping."""

from collections import deque
from typing import Generic, TypeVar

from ddpg.gradient_flow.records import Backward, Step

_LATEST = 32

E = TypeVar("E", Backward, Step)


class History(Generic[E]):
    """The latest entries in full; of the older ones of a kind the first, which counts the others."""

    def __init__(self) -> None:
        self._older: dict[object, E] = {}
        self._latest: deque[E] = deque()

    def append(self, entry: E) -> None:
        """The newest."""
        self._latest.append(entry)
        if len(self._latest) > _LATEST:
            oldest = self._latest.popleft()
            first = self._older.setdefault(oldest.of, oldest)
            if first is not oldest:
                first.absorb(oldest)

    def entries(self) -> list[E]:
        """All, in order."""
        return [*self._older.values(), *self._latest]  # type: ignore[list-item]

    def latest(self) -> deque[E]:
        """Those in full."""
        return self._latest
