"""Gymnasium environments in, transitions out.

`make_environment` makes one environment and holds it to gymnasium's interface, `make_vector` several with seeded
episodes; `Collector` steps them and returns transitions, which `NStep` joins to transitions of n steps; `repeats` tries
whether an episode can be repeated, `with_others` makes further environments that can be stepped in turn with one.
"""

from ddpg.environments.collector import Collector, Transitions
from ddpg.environments.episodes import CheckedEnvironment
from ddpg.environments.making import find_environment, make_environment, make_vector, with_others
from ddpg.environments.n_step import NStep
from ddpg.environments.processes import SIGNALS
from ddpg.environments.repetition import OUTSIDE, Statistics, repeats

__all__ = [
    "OUTSIDE",
    "SIGNALS",
    "CheckedEnvironment",
    "Collector",
    "NStep",
    "Statistics",
    "Transitions",
    "find_environment",
    "make_environment",
    "make_vector",
    "repeats",
    "with_others",
]
