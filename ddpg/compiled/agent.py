"""The update of an agent as a compiled graph.

There is no second definition of the algorithm: `DDPG.update` is run once, recorded, and the record is what runs then.
"""

import itertools
from collections.abc import Hashable
from typing import Any

from torch import Tensor

from ddpg.agent import DDPG
from ddpg.base import optimizers
from ddpg.compiled import compilation
from ddpg.compiled.recording import RecordingError, record_update, state_tensors
from ddpg.replay_buffer import Batch


class CompiledUpdate:
    """The compiled `agent.update(batch)`; equal to it but for rounding, as operations are fused and reordered.

    The first update of a new agent runs eagerly: it creates the optimizers' state. The second compiles, once for each
    shape of batch, which takes half a minute on the first occasion and about a second when the cache has it. The
    compiled code reads and writes the agent's own tensors: replace none of them, as by loading a state into its
    optimizers, once it is compiled.

    On a GPU the update becomes one CUDA graph.
    """

    actions: Tensor | None = None
    """`(n, act)`: what the updated actor says to the observations of the latest call, if it was given some"""

    def __init__(self, agent: DDPG) -> None:
        self.agent = agent
        self._prepared: dict[Hashable, tuple[list[str], compilation.Function]] = {}
        self._constants: list[Any] = []

    def __reduce__(self) -> tuple[Any, ...]:
        return CompiledUpdate, (self.agent,)

    def __call__(self, batch: Batch, observations: Tensor | None = None) -> dict[str, Tensor]:
        """Update the agent, and return the measurements of `DDPG.update`.

        Args:
            batch: as for `DDPG.update`.
            observations: `(n, obs)`, for which the same code computes `actions`; not in the first update.

        Raises:
            InputError: if the batch does not fit the spaces.
            RecordingError: if stop, freeze or optimizer cannot be recorded, or a number that is a constant in the
                compiled code, such as a learning rate, has changed.
            CompilationError: if there is no C++ compiler. In either case the agent is as it was.
        """
        self.actions = None
        if not self.agent.critic_updates:
            return self.agent.update(batch)
        optimizers.check_gradients_are_recorded()
        constants = self._present_constants()
        if self._prepared and constants != self._constants:
            raise RecordingError(
                f"{self._changed(constants)}: the compiled update was made with another value; a new CompiledUpdate "
                "takes this one."
            )
        self._constants = constants
        inputs = batch if observations is None else (*batch, observations)
        layouts = tuple((tensor.shape, tensor.stride(), tensor.dtype) for tensor in inputs)
        key = (self.agent.gradient_stop.phase(self.agent.critic_updates + 1), layouts)
        if key not in self._prepared:
            self.agent.check(batch)
            recording, tags = record_update(self.agent, batch, observations)
            run = compilation.build(recording, state_tensors(self.agent), inputs)
            self._prepared[key] = tags, run
        tags, run = self._prepared[key]
        outputs = run(inputs)
        self.agent.critic_updates += 1
        if observations is not None:
            self.actions = outputs.pop()
        return dict(zip(tags, outputs, strict=True))

    def _present_constants(self) -> list[Any]:
        """Return the numbers that a recording takes as they are."""
        agent = self.agent
        groups = *agent.critic_optimizer.param_groups, *agent.actor_optimizer.param_groups
        return [agent.discount, agent.polyak, *itertools.chain.from_iterable(map(dict.values, groups))]

    def _changed(self, constants: list[Any]) -> str:
        held = ("critic", self.agent.critic_optimizer), ("actor", self.agent.actor_optimizer)
        names = [f"{role}_{name}" for role, each in held for group in each.param_groups for name in group]
        pairs = zip(["discount", "polyak", *names], self._constants, constants, strict=False)
        return ", ".join(f"{name}={now}" for name, before, now in pairs if now != before)
