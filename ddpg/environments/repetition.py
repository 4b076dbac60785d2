"""Hold what outlives an environment's episodes, so that each episode can be repeated.

Two things do in many environments: the random numbers of `random` and `np.random`, which are the whole process's, and
the running statistics of wrappers that normalise. Whatever else there may be, `repeats` notices.
"""

import os
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.wrappers.utils import update_mean_var_count_from_moments as combined
from numpy.random import mtrand

from ddpg.base.errors import require

Statistics = Sequence[Mapping[str, Any]]
"""numbers by their names, of each object in and around an environment that keeps some; the outermost first"""
_MOMENTS = ("mean", "var", "count")


class GlobalRandomness:
    """Streams of `random` and `np.random` for one environment, whoever else draws in between."""

    _present: ClassVar["GlobalRandomness"]

    def __init__(self, numpy_generator: Any = None) -> None:
        self._numpy = numpy_generator or np.random.MT19937(0)
        self._python = random.getstate()

    def enter(self) -> None:
        """Let draws come from these streams from now on."""
        # Always: this also drops the normal number that NumPy may hold in reserve, which belongs to no stream.
        mtrand.set_bit_generator(self._numpy)
        if GlobalRandomness._present is not self:
            GlobalRandomness._present._python = random.getstate()
            random.setstate(self._python)
            GlobalRandomness._present = self

    def seed(self, seed: int) -> None:
        """Enter, and begin both streams anew."""
        self.enter()
        random.seed(seed)
        np.random.seed(seed % 2**32)


OUTSIDE = GlobalRandomness(mtrand.get_bit_generator())
"""the streams of the program around the environments, which go on when these are closed"""
GlobalRandomness._present = OUTSIDE


@contextmanager
def contained() -> Iterator[None]:
    """Import or construct within: draws are the same in every program, and the working directory stays."""
    directory = os.getcwd()
    GlobalRandomness().seed(0)
    try:
        yield
    finally:
        OUTSIDE.enter()
        os.chdir(directory)


def statistics(environment: gymnasium.Env[Any, Any]) -> Statistics:
    """Return a copy of the running statistics of an environment and the wrappers around it."""
    return [
        {name: _copied(value) for name, value in vars(holder).items() if _is_number(value)}
        for holder in _holders(environment)
    ]


def restore(environment: gymnasium.Env[Any, Any], kept: Statistics) -> None:
    """Put back what `statistics` returned.

    Raises:
        InputError: if it is not of such wrappers.
    """
    holders = _holders(environment)
    own, found = list(map(_form, statistics(environment))), list(map(_form, kept))
    require(
        found == own,
        f"the running statistics that were kept, {found}, are of other wrappers than the environment has now, {own}: "
        "take the environment that they were kept of.",
    )
    for holder, numbers in zip(holders, kept, strict=True):
        for name, value in numbers.items():
            # What is no number yet, an environment makes later.
            if (present := vars(holder).get(name)) is None or _is_number(present):
                setattr(holder, name, _copied(value))


def freeze(environment: gymnasium.Env[Any, Any]) -> list[Any]:
    """Stop updating the statistics where a wrapper has gymnasium's switch for that; return those wrappers."""
    updating = [each for each in _holders(environment) if getattr(each, "update_running_mean", False)]
    for holder in updating:
        holder.update_running_mean = False
    return updating


def merged(several: Sequence[Statistics]) -> Statistics:
    """Return the statistics of several environments as those of one that has seen all that they have."""
    return [_together(numbers) for numbers in zip(*several, strict=True)]


def _together(several: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    first, *others = several
    if not _has_moments(first):
        return first
    moments = tuple(first[each] for each in _MOMENTS)
    for other in others:
        moments = combined(*moments, *(other[each] for each in _MOMENTS))  # type: ignore[no-untyped-call]
    return {**first, **dict(zip(_MOMENTS, moments, strict=True))}


def repeats(environment: gymnasium.Env[Any, Any], steps: int = 10) -> bool:
    """Try whether the beginning of an episode comes out the same from the same seed, actions and statistics."""
    before = statistics(environment)
    once, again = ([*_beginning(environment, before, steps)] for _ in range(2))
    restore(environment, before)
    return len(once) == len(again) and all(map(np.array_equal, once, again))


def _beginning(environment: gymnasium.Env[Any, Any], before: Statistics, steps: int) -> Iterator[np.ndarray]:
    """Yield what the environment answers to a reset and to each of some steps."""
    restore(environment, before)
    space, generator = environment.action_space, np.random.default_rng(0)
    assert isinstance(space, gymnasium.spaces.Box)
    yield np.array(environment.reset(seed=0)[0], float).ravel()
    for _ in range(steps):
        action = generator.uniform(space.low, space.high).astype(space.dtype)
        observation, *outcome, _ = environment.step(action)
        yield np.append(observation, np.array(outcome, float))
        if any(outcome[1:]):
            break


def _holders(environment: gymnasium.Env[Any, Any]) -> list[Any]:
    """List the wrappers with running moments, each with the objects that keep them, and the environment likewise."""
    found: list[Any] = []
    layer: gymnasium.Env[Any, Any] | None = environment
    while layer is not None:
        below = layer.env if isinstance(layer, gymnasium.Wrapper) else None
        keepers = [
            each for each in vars(layer).values() if each is not below and _has_moments(getattr(each, "__dict__", {}))
        ]
        if keepers or _has_moments(vars(layer)):
            found += [layer, *keepers]
        layer = below
    return found


def _has_moments(numbers: Mapping[str, Any]) -> bool:
    return all(_is_number(numbers.get(each)) for each in _MOMENTS)


def _form(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the shapes of the moments; other numbers come and go."""
    return {each: np.shape(numbers[each]) for each in _MOMENTS if each in numbers}


def _is_number(value: object) -> bool:
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.kind in "iuf"
    return isinstance(value, float | int) and not isinstance(value, bool)


def _copied(value: Any) -> Any:
    """A plain number as it is; NumPy's, or a tensor that a checkpoint made of them, as an array."""
    # Plain ones stay plain: beside them float32 stays float32.
    return value if isinstance(value, float | int) and not isinstance(value, np.number) else np.asarray(value).copy()
