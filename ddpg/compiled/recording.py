"""Graphs of tensor functions, traced from the very code that runs eagerly.

PyTorch runs the function once and writes down every operation that reaches a kernel. Autograd, gradient stop and
critic freeze have done their work by then, so whatever they let through is in the graph, and every one of them can be
recorded.
"""

import copy
import functools
import pickle
import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np
import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

from ddpg.agent import DDPG
from ddpg.gradient_stop import GradientStop
from ddpg.replay_buffer import Batch


class RecordingError(RuntimeError):
    """Raised when a function cannot be traced; eagerly it can be run all the same."""


class Recording(NamedTuple):
    """A function of a state, which it may write to, and of inputs."""

    graph: fx.GraphModule
    """takes tensors of the state, then the inputs; returns a list"""
    places: list[int]
    """which tensors of the state it takes"""


def record_update(agent: DDPG, batch: Batch, observations: Tensor | None = None) -> tuple[Recording, list[str]]:
    """Record `agent.update` as a function of `state_tensors(agent)` and a batch; return also its measurements' tags.

    With observations `(n, obs)` the function takes such after the batch, and returns the updated actor's actions last.
    The agent itself is not updated. Its optimizers must have made their state, in an earlier update.

    Raises:
        RecordingError: if stop, freeze or optimizer look at a tensor's values, or the optimizer makes new state; if the
            next update might be another one: the stop looks at the update's number without saying how in `phase`, or
            stop or freeze count for themselves or draw random numbers of Python's or NumPy's.
    """
    twin = copy.deepcopy(agent)
    if type(agent.gradient_stop).phase is GradientStop.phase:
        twin.critic_updates = _UpdatesSoFar()  # type: ignore[assignment]
    for optimizer in (twin.critic_optimizer, twin.actor_optimizer):
        for group in optimizer.param_groups:
            # A fused step would be one opaque kernel; without `capturable` the count of steps would be a constant.
            chosen = {"fused": False, "foreach": True, "capturable": True}
            group.update({name: value for name, value in chosen.items() if name in group})
    tags: list[str] = []

    def update(*tensors: Tensor) -> list[Tensor]:
        measurements = twin.update(Batch(*tensors[: len(batch)]))
        twin.clear_gradients()
        tags[:] = measurements
        with torch.no_grad():
            return [*measurements.values(), *map(twin.actor, tensors[len(batch) :])]

    before, remembered = state_tensors(twin), _remembered(twin)
    recording = _record(update, batch if observations is None else (*batch, observations), before)
    if _remembered(twin) != remembered:
        raise RecordingError(
            "the gradient stop or the critic freeze remembers something from one update to the next, or draws random "
            "numbers of Python's or NumPy's, which a graph cannot."
        )
    if list(map(id, before)) != list(map(id, state_tensors(twin))):
        raise RecordingError("the optimizer makes new state in an update, which a graph cannot.")
    return recording, tags


class _UpdatesSoFar:
    """Stands for the count of updates: the next one has a number that may be handed on, but not looked at."""

    def __add__(self, one: int) -> object:
        return _UnseenNumber()


def _refuse(*_: object) -> NoReturn:
    raise RecordingError(
        "the gradient stop looks at the update's number; override its method `phase` to say what of it matters."
    )


# Whatever can be done with a number.
_UnseenNumber = type("_UnseenNumber", (), dict.fromkeys(vars(int).keys() - {"__new__", "__doc__"}, _refuse))


def _remembered(agent: DDPG) -> bytes:
    """Return what may make the next update another one, beside tensors and the update's number."""
    choices = (getattr(each, "__dict__", None) for each in (agent.gradient_stop, agent.critic_freeze))
    found = (*choices, random.getstate(), np.random.get_state())
    try:
        return pickle.dumps(found)
    except Exception:  # functions without a name, for instance
        return repr(found).encode()


def state_tensors(agent: DDPG) -> list[Tensor]:
    """Return all tensors that an update may read or write, in the same order for equal agents."""
    found = [tensor for module in agent.modules().values() for tensor in (*module.parameters(), *module.buffers())]
    for optimizer in (agent.critic_optimizer, agent.actor_optimizer):
        for group in optimizer.param_groups:
            states = [optimizer.state.get(parameter, {}) for parameter in group["params"]]
            found += [value for each in states for value in each.values() if isinstance(value, Tensor)]
    return found


def _record(function: Callable[..., list[Tensor]], inputs: Sequence[Tensor], tensors: Sequence[Tensor]) -> Recording:
    graph = _trace(function, inputs, CPU_REWRITES if inputs[0].device.type == "cpu" else {})
    return Recording(graph, _lift(graph, {id(tensor): place for place, tensor in enumerate(tensors)}))


def _trace(
    function: Callable[..., list[Tensor]], inputs: Sequence[Tensor], rewrites: dict[Any, Callable[..., Any]]
) -> fx.GraphModule:
    try:
        # In one thread: a GPU's backward pass would run in another, which is not recorded.
        with torch.compiler._compile_session_context(), torch.autograd.set_multithreading_enabled(False):
            return make_fx(function, decomposition_table=rewrites)(*inputs)
    except RecordingError:
        raise
    except Exception as error:  # whatever a stop, a freeze or an optimizer of the user's own may do
        raise RecordingError(f"{function.__name__}: cannot be recorded ({error}).") from error


def _lift(graph: fx.GraphModule, places: dict[int, int]) -> list[int]:
    """Turn the recorded tensors from constants of the graph into its first inputs; the place of each."""
    constants: dict[int, list[fx.Node]] = {}
    for node in graph.graph.find_nodes(op="get_attr"):
        constants.setdefault(places.get(id(getattr(graph, str(node.target))), -1), []).append(node)
    constants.pop(-1, None)  # constants indeed
    first = next(iter(graph.graph.nodes))
    for place, nodes in constants.items():
        with graph.graph.inserting_before(first):
            entry = graph.graph.placeholder(f"state_{place}")
        for node in nodes:
            node.replace_all_uses_with(entry)
            graph.graph.erase_node(node)
    graph.recompile()
    return list(constants)


def _powers(base: float, exponents: list[Tensor]) -> list[Tensor]:
    """Compute Adam's powers of β once: alone, each would be inlined into the loop over a parameter's elements."""
    return list(torch.stack([torch.pow(base, exponent) for exponent in exponents]).unbind())


def _matrix_product(left: Tensor, right: Tensor) -> Any:
    """Compute `left @ right`, with skinny operands in the form that is fast on a CPU."""
    (rows, inner), columns = left.shape, right.shape[1]
    if rows == 1:  # one dot product for each column, fused with what follows
        return (left * right.t()).sum(dim=1).unsqueeze(0)
    if inner <= 4 < columns:  # a few outer products, fused with what follows
        # A copy: `right` may be a transposed weight, and loops over every fourth number are not vectorised.
        right = torch.cat([right[k : k + 1] for k in range(inner)])
        products = [left[:, k : k + 1] * right[k : k + 1] for k in range(inner)]
        return functools.reduce(torch.add, products)
    if columns == 1 < inner:
        return (left * right.t()).sum(dim=1, keepdim=True)
    if columns <= 32 < rows:
        return torch.mm(right.t(), left.t()).t()
    return NotImplemented


def _affine(bias: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Compute a product, rewritten in its turn, and a sum that can be fused with what follows."""
    return left @ right + bias


CPU_REWRITES: dict[Any, Callable[..., Any]] = {
    torch.ops.aten._foreach_pow.ScalarAndTensor: _powers,
    torch.ops.aten.mm.default: _matrix_product,
    torch.ops.aten.addmm.default: _affine,
}
