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
        self._groups: list[dict[str, Any]] = []  # of the optimizers
        self._numbers: list[Any] = []

    def __reduce__(self) -> tuple[Any, ...]:
        return CompiledUpdate, (self.agent,)

    def __call__(self, batch: Batch, observations: Tensor | None = None) -> dict[str, Tensor]:
        """Update the agent, and return the measurements of `DDPG.update`.

        Args:
            batch: as for `DDPG.update`.
            observations: `(n, obs)`, for which the same code computes `actions`; not in the first update.

        Raises:
            InputError: if the batch does not fit the spaces.
            RecordingError: if stop, freeze or optimizer cannot be recorded; once compiled, if a learning rate or the
                like has changed, or an optimizer's state was loaded.
            CompilationError: if there is no C++ compiler. In either case the agent is as it was.
        """
        self.actions = None
        if not self.agent.critic_updates:
            return self.agent.update(batch)
        optimizers.check_gradients_are_recorded()
        self._check_constants()
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

    def _check_constants(self) -> None:
        """Raise `RecordingError` if the compiled code has other numbers, or optimizers' states, than the agent."""
        held = {"critic": self.agent.critic_optimizer, "actor": self.agent.actor_optimizer}
        groups = [group for optimizer in held.values() for group in optimizer.param_groups]
        numbers = [self.agent.discount, self.agent.polyak, *itertools.chain.from_iterable(map(dict.values, groups))]
        if self._prepared:
            changed = ""
            if list(map(id, groups)) != list(map(id, self._groups)):
                changed = "an optimizer's state was loaded"
            elif numbers != self._numbers:
                names = [
                    f"{role}_{name}" for role, each in held.items() for group in each.param_groups for name in group
                ]
                pairs = zip(["discount", "polyak", *names], self._numbers, numbers, strict=True)
                changed = ", ".join(f"{name}={now}" for name, before, now in pairs if now != before)
            if changed:
                raise RecordingError(
                    f"{changed}: the update was compiled before, with another; make a new CompiledUpdate."
                )
        self._groups, self._numbers = groups, numbers
