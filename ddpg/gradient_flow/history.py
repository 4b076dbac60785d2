"""Keeps passes and steps one by one, as far back as is worth it."""

from collections import deque
from typing import Generic, TypeVar

from ddpg.gradient_flow.records import Backward, Step

_LATEST = 32

E = TypeVar("E", Backward, Step)


class History(Generic[E]):
    """The `latest` entries in full; of the older ones of a kind the first, which counts the others."""

    def __init__(self) -> None:
        self._older: dict[object, E] = {}
        self.latest: deque[E] = deque()

    def append(self, entry: E) -> None:
        """Add the newest entry, and count the oldest in full with others of its kind."""
        self.latest.append(entry)
        if len(self.latest) > _LATEST:
            oldest = self.latest.popleft()
            first = self._older.setdefault(oldest.of, oldest)
            if first is not oldest:
                first.absorb(oldest)

    def entries(self) -> list[E]:
        """Return all, the older ones first."""
        return [*self._older.values(), *self.latest]  # type: ignore[list-item]
