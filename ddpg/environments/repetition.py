"""What outlives an environment's episodes, held so that each episode can be repeated.

Two things do in many environments: the random numbers of `random` and `np.random`, which are the whole process's, and
the running statistics of wrappers that normalise. Whatever else there may be is noticed by trying (`repeats`).
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
"""of each wrapper that keeps any, the outermost first: its numbers by their names, running moments as mappings"""
_MOMENTS = ("mean", "var", "count")


class GlobalRandomness:
    """`random` and `np.random` as one environment sees them: streams of its own, whoever else draws in between."""

    _present: ClassVar["GlobalRandomness"]

    def __init__(self, numpy_generator: Any = None) -> None:
        self._numpy = numpy_generator or np.random.MT19937(0)
        self._python = random.getstate()

    def enter(self) -> None:
        """From now on draws are from these streams."""
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
    """Around what an environment's module or constructor does: the same draws in every program, no other directory."""
    directory = os.getcwd()
    GlobalRandomness().seed(0)
    try:
        yield
    finally:
        OUTSIDE.enter()
        os.chdir(directory)


def statistics(environment: gymnasium.Env[Any, Any]) -> Statistics:
    """The running statistics of the wrappers around an environment, copied."""
    return [
        {
            name: {each: _copied(getattr(value, each)) for each in _MOMENTS} if _running(value) else _copied(value)
            for name, value in vars(wrapper).items()
            if _running(value) or _is_number(value)
        }
        for wrapper in _normalising(environment)
    ]


def restore(environment: gymnasium.Env[Any, Any], kept: Statistics) -> None:
    """Put back what `statistics` returned. Raises `InputError` if it is not of such wrappers."""
    own = statistics(environment)
    require(
        list(map(_form, kept)) == list(map(_form, own)),
        f"the running statistics that were kept, {list(map(_form, kept))}, are of other wrappers than the environment "
        f"has now, {list(map(_form, own))}: take the environment that they were kept of.",
    )
    for wrapper, numbers in zip(_normalising(environment), kept, strict=True):
        for name, value in numbers.items():
            if isinstance(value, Mapping):
                for each in _MOMENTS:
                    setattr(getattr(wrapper, name), each, _copied(value[each]))
            # What is no number yet, an environment makes later.
            elif (present := vars(wrapper).get(name)) is None or _is_number(present):
                setattr(wrapper, name, _copied(value))


def _form(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """The names and shapes of the moments; other numbers come and go."""
    moments = {name: value for name, value in numbers.items() if isinstance(value, Mapping)}
    direct = {name: np.shape(numbers[name]) for name in _MOMENTS if name in numbers}
    return direct | {name: {each: np.shape(value[each]) for each in _MOMENTS} for name, value in moments.items()}


def freeze(environment: gymnasium.Env[Any, Any]) -> None:
    """Let the statistics be as they are, where a wrapper has gymnasium's switch for that."""
    for wrapper in _normalising(environment):
        if hasattr(wrapper, "update_running_mean"):
            wrapper.update_running_mean = False


def merged(several: Sequence[Statistics]) -> Statistics:
    """The statistics of several environments as those of one that has seen all that they have."""
    first, *others = several
    return [
        {
            name: _together(value, [other[place][name] for other in others]) if isinstance(value, Mapping) else value
            for name, value in numbers.items()
        }
        for place, numbers in enumerate(first)
    ]


def _together(first: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    moments = tuple(first[each] for each in _MOMENTS)
    for other in others:
        moments = combined(*moments, *(other[each] for each in _MOMENTS))  # type: ignore[no-untyped-call]
    return dict(zip(_MOMENTS, moments, strict=True))


def repeats(environment: gymnasium.Env[Any, Any], steps: int = 10) -> bool:
    """Whether the beginning of an episode comes out the same from the same seed, actions and statistics."""
    before = statistics(environment)
    once, again = (_beginning(environment, before, steps) for _ in range(2))
    restore(environment, before)
    return len(once) == len(again) and all(map(np.array_equal, once, again))


def _beginning(environment: gymnasium.Env[Any, Any], before: Statistics, steps: int) -> list[np.ndarray]:
    restore(environment, before)
    space, generator = environment.action_space, np.random.default_rng(0)
    assert isinstance(space, gymnasium.spaces.Box)
    seen = [np.array(environment.reset(seed=0)[0])]
    for _ in range(steps):
        action = generator.uniform(space.low, space.high).astype(space.dtype)
        observation, *outcome, _ = environment.step(action)
        seen += [np.array(observation), np.array(outcome, float)]
        if any(outcome[1:]):
            break
    return seen


def _normalising(environment: gymnasium.Env[Any, Any]) -> Iterator[Any]:
    """The wrappers that keep running moments, and the environment itself if it does."""
    while True:
        if _running(environment) or any(map(_running, vars(environment).values())):
            yield environment
        if not isinstance(environment, gymnasium.Wrapper):
            return
        environment = environment.env


def _running(value: object) -> bool:
    """Whether these are running moments, gymnasium's or whoever's."""
    attributes = getattr(value, "__dict__", {})
    return all(_is_number(attributes.get(each)) for each in _MOMENTS)


def _is_number(value: object) -> bool:
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.kind in "iuf"
    return isinstance(value, float | int) and not isinstance(value, bool)


def _copied(value: Any) -> Any:
    """A plain number as it is; NumPy's, or a tensor that a checkpoint made of them, as an array."""
    # Plain ones stay plain: beside them float32 stays float32.
    return value if isinstance(value, float | int) and not isinstance(value, np.number) else np.asarray(value).copy()
