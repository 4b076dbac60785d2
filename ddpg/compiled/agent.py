"""The update and the actor of an agent as compiled graphs.

There is no second definition of the algorithm: `DDPG.update` and `Actor.forward` are run once, recorded, and the record
is what runs from then on.
"""

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ddpg.agent import DDPG
from ddpg.base import optimizers
from ddpg.compiled import compilation
from ddpg.compiled.recording import record_actor, record_update, state_tensors
from ddpg.replay_buffer import Batch


class CompiledPolicy:
    """The function `agent.policy` with the actor compiled; equal to it but for rounding.

    The actor is compiled once for each number of observations.
    """

    def __init__(self, agent: DDPG) -> None:
        self._agent = agent
        self._dtype = np.float64 if agent.dtype == torch.float64 else np.float32
        self._compiled: dict[int, Callable[[np.ndarray], np.ndarray]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return CompiledPolicy, (self._agent,)  # compiled code holds the very tensors of its agent

    def __call__(self, observations: np.ndarray) -> np.ndarray:
        """Map observations `(n, obs)` to actions `(n, act)`; raise `CompilationError` if there is no compiler."""
        run = self._compiled.get(len(observations))
        if run is None:
            run = self._compiled[len(observations)] = self._compile(observations.shape)
        return run(observations)

    def _compile(self, shape: tuple[int, ...]) -> Callable[[np.ndarray], np.ndarray]:
        array = np.zeros(shape, self._dtype)
        inputs = torch.from_numpy(array)  # the same memory
        example = inputs.to(self._agent.device)
        recording, tensors = record_actor(self._agent.actor, example)
        actor = compilation.build(recording, tensors, [example], "the actor")

        def run(observations: np.ndarray) -> np.ndarray:
            array[:] = observations
            return actor([inputs.to(example.device)])[0].numpy(force=True)

        return run


class CompiledUpdate:
    """The compiled `agent.update(batch)`; equal to it but for rounding, as operations are fused and reordered.

    The first update of a new agent runs eagerly: it creates the optimizers' state. The second compiles, once for each
    shape of batch, which takes half a minute on the first occasion and about a second when the cache has it. The
    compiled code reads and writes the agent's own tensors: replace none of them, as by loading a state into its
    optimizers, once it is compiled.

    On a GPU the update becomes one CUDA graph.
    """

    def __init__(self, agent: DDPG) -> None:
        self.agent = agent
        self._prepared: dict[Hashable, tuple[list[str], compilation.Function]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return CompiledUpdate, (self.agent,)

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Update the agent, and return the measurements of `DDPG.update`.

        Raises:
            InputError: if the batch does not fit the spaces.
            RecordingError: if stop, freeze or optimizer cannot be recorded.
            CompilationError: if there is no C++ compiler. In either case the agent is as it was.
        """
        if not self.agent.critic_updates:
            return self.agent.update(batch)
        optimizers.check_gradients_are_recorded()
        layouts = tuple((tensor.shape, tensor.stride(), tensor.dtype) for tensor in batch)
        key = (self.agent.gradient_stop.phase(self.agent.critic_updates + 1), layouts)
        if key not in self._prepared:
            self.agent.check(batch)
            recording, tags = record_update(self.agent, batch)
            run = compilation.build(recording, state_tensors(self.agent), batch, "the update")
            self._prepared[key] = tags, run
        tags, run = self._prepared[key]
        measurements = dict(zip(tags, run(batch), strict=True))
        self.agent.critic_updates += 1
        return measurements
