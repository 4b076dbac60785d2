"""The update and the actor of an agent as recorded graphs: compiled, and for several agents at once.

There is no second definition of the algorithm: `DDPG.update` and `Actor.forward` are run once, recorded, and the record
is what runs from then on.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ddpg.agent import DDPG
from ddpg.base import optimizers
from ddpg.base.errors import require
from ddpg.base.progress import under_way
from ddpg.compiled import compilation
from ddpg.compiled.recording import batched, record_actor, record_update, state_tensors
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


class _RecordedUpdate:
    """The update of one agent or more, recorded once for each shape of batch."""

    def __init__(self, agents: Sequence[DDPG]) -> None:
        self.agents = list(agents)
        self._prepared: dict[Hashable, tuple[list[str], compilation.Function]] = {}

    def _prepare(self, batches: Sequence[Batch]) -> tuple[list[str], compilation.Function]:
        """Return the tags of the measurements, and the function of the batches' tensors that returns them."""
        raise NotImplementedError

    def _update(self, batches: Sequence[Batch]) -> dict[str, Tensor]:
        optimizers.check_gradients_are_recorded()
        inputs = [tensor for batch in batches for tensor in batch]
        layouts = tuple((tensor.shape, tensor.stride(), tensor.dtype) for tensor in inputs)
        key = (self.agents[0].gradient_stop.phase(self.agents[0].critic_updates + 1), layouts)
        if key not in self._prepared:
            for agent, batch in zip(self.agents, batches, strict=True):
                agent.check(batch)
            self._prepared[key] = self._prepare(batches)
        tags, run = self._prepared[key]
        measurements = dict(zip(tags, run(inputs), strict=True))
        for agent in self.agents:
            agent.critic_updates += 1
        return measurements


class CompiledUpdate(_RecordedUpdate):
    """The compiled `agent.update(batch)`; equal to it but for rounding, as operations are fused and reordered.

    The first update of a new agent runs eagerly: it creates the optimizers' state. The second compiles, once for each
    shape of batch, which takes half a minute on the first occasion and about a second when the cache has it. The
    compiled code reads and writes the agent's own tensors: replace none of them, as by loading a state into its
    optimizers, once it is compiled.

    On a GPU the update becomes one CUDA graph.
    """

    def __init__(self, agent: DDPG) -> None:
        super().__init__([agent])
        self.agent = agent

    def __reduce__(self) -> tuple[Any, ...]:
        return CompiledUpdate, (self.agent,)

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Update the agent, and return the measurements of `DDPG.update`.

        Raises:
            InputError: if the batch does not fit the spaces.
            RecordingError: if stop, freeze or optimizer cannot be recorded.
            CompilationError: if there is no C++ compiler. In either case the agent is as it was.
        """
        return self._update([batch]) if self.agent.critic_updates else self.agent.update(batch)

    def _prepare(self, batches: Sequence[Batch]) -> tuple[list[str], compilation.Function]:
        recording, tags = record_update(self.agent, batches[0])
        return tags, compilation.build(recording, state_tensors(self.agent), batches[0], "the update")


class JointUpdate(_RecordedUpdate):
    """The updates of several agents in one; equal to `agent.update(batch)` of each but for rounding.

    The agents' tensors become rows of common ones: replace none of them, as by loading a state into an optimizer. The
    first update of new agents runs eagerly: it creates the optimizers' state.

    Args:
        agents: two or more, alike but for their seeds and weights, and updated equally often.
        compiled: whether the update is compiled, as in `CompiledUpdate`, or runs operation by operation.

    Raises:
        InputError: if the agents are not alike.
    """

    def __init__(self, agents: Sequence[DDPG], compiled: bool = False) -> None:
        super().__init__(agents)
        require(len(self.agents) > 1, f"{len(self.agents)} agents: a joint update is for two or more.")
        for agent in self.agents[1:]:
            mismatch = [name for name, value in _kind(agent).items() if value != _kind(self.agents[0])[name]]
            require(not mismatch, f"agents of different {', '.join(mismatch)}: only seed and weights may differ.")
        self._compiled = compiled
        self._stacked: list[Tensor] = []
        self._stack()
        self._firsts = [next(agent.actor.parameters()) for agent in self.agents]
        self._addresses = [tensor.data_ptr() for tensor in self._firsts]

    def __reduce__(self) -> tuple[Any, ...]:
        return JointUpdate, (self.agents, self._compiled)

    def __call__(self, batches: Sequence[Batch]) -> dict[str, Tensor]:
        """Update each agent with its batch, and return the measurements of `DDPG.update`, each of shape `(agents,)`.

        Raises:
            InputError: if there is not a batch for each agent, of equal size, or one does not fit the spaces; or if the
                agents' tensors are no longer rows of this update's.
            RecordingError: if stop, freeze or optimizer cannot be recorded.
            CompilationError: if there is no C++ compiler. In either case the agents are as they were.
        """
        sizes = [len(batch.rewards) for batch in batches]
        require(len(sizes) == len(self.agents), f"{len(sizes)} batches for {len(self.agents)} agents: pass one each.")
        require(len(set(sizes)) == 1, f"batches of {sizes} transitions: they must have equally many.")
        require(
            [tensor.data_ptr() for tensor in self._firsts] == self._addresses,
            "the agents' tensors now lie elsewhere, as after another JointUpdate of them or a cast: this one would "
            "update the former ones; make a new JointUpdate.",
        )
        if self.agents[0].critic_updates:
            return self._update(batches)
        for agent, batch in zip(self.agents, batches, strict=True):
            agent.check(batch)
        each = [agent.update(batch) for agent, batch in zip(self.agents, batches, strict=True)]
        return {tag: torch.stack([measurements[tag] for measurements in each]) for tag in each[0]}

    def _prepare(self, batches: Sequence[Batch]) -> tuple[list[str], compilation.Function]:
        with under_way(f"recording the update of {len(self.agents)} agents"):
            recording, tags = record_update(self.agents[0], batches[0])
            self._stack()
            joint = batched(recording, self._stacked, batches)
        if not self._compiled:
            tensors = [self._stacked[place] for place in joint.places]
            return tags, torch.no_grad()(lambda inputs: joint.graph(*tensors, *inputs))
        inputs = [tensor for batch in batches for tensor in batch]
        return tags, compilation.build(joint, self._stacked, inputs, f"the update of {len(self.agents)} agents")

    def _stack(self) -> None:
        """Make the agents' tensors rows of common ones, if they are not yet."""
        for tensors in list(zip(*map(state_tensors, self.agents), strict=True))[len(self._stacked) :]:
            rows = torch.stack([tensor.detach() for tensor in tensors])
            for tensor, row in zip(tensors, rows, strict=True):
                tensor.data = row
            self._stacked.append(rows)


def _kind(agent: DDPG) -> dict[str, Any]:
    """Return in what agents have to be alike for one graph to update them."""
    return {
        "options": {**agent.options, "seed": None},
        "optimizer": optimizers.as_data(agent.optimizer),
        "gradient stop": agent.gradient_stop,
        "critic freeze": agent.critic_freeze,
        "shapes": [(tensor.shape, tensor.dtype, tensor.device) for tensor in state_tensors(agent)],
        "number of updates": agent.critic_updates,
    }
