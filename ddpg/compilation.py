"""The whole update as one compiled graph, recorded from the very functions that run it eagerly.

`CompiledUpdate` runs `DDPG.update` once on a copy of the agent, while PyTorch writes down every operation that reaches
a kernel: both losses, both backward passes, both optimizer steps, the soft target update. Autograd, gradient stop and
critic freeze have done their work by then, so whatever they let through is in the graph, and every one of them can be
recorded. The graph is compiled to machine code and kept in a cache.
"""

import copy
import functools
import hashlib
import os
import platform
import shutil
import threading
import warnings
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx
from tqdm import tqdm

from ddpg.agent import DDPG
from ddpg.replay_buffer import Batch


class CompilationError(RuntimeError):
    """The update cannot be compiled on this machine, or not with these choices; eagerly it can be run all the same."""


class _Recording(NamedTuple):
    graph: fx.GraphModule
    """takes the agent's tensors and the batch's, writes the former, returns the measurements"""
    state: list[Tensor]
    """the agent's tensors that it takes"""
    tags: list[str]
    """of the measurements"""


class CompiledUpdate:
    """`agent.update(batch)`, compiled; equal to it but for rounding, as operations are fused and reordered.

    The first update of a new agent runs eagerly: it creates the optimizers' state. The second compiles, once for each
    shape of batch, which takes half a minute on the first occasion and about a second when the cache has it. The
    compiled code reads and writes the agent's own tensors: replace none of them, as by loading a state into its
    optimizers, once it is compiled.

    Args:
        agent: on the CPU.
    """

    def __init__(self, agent: DDPG) -> None:
        self.agent = agent
        self._compiled: dict[Hashable, Callable[[Batch], dict[str, Tensor]]] = {}

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """What `DDPG.update` does and returns.

        Raises:
            InputError: if the batch does not fit the spaces.
            CompilationError: if there is no C++ compiler, the agent is not on the CPU, or the update cannot be
                recorded. The agent is then as it was.
        """
        agent = self.agent
        layout = tuple((tensor.shape, tensor.stride(), tensor.dtype) for tensor in batch)
        key = (agent.gradient_stop.phase(agent.critic_updates + 1), layout)
        if key not in self._compiled:
            if agent.critic_updates == 0:
                return agent.update(batch)
            agent.check(batch)
            self._compiled[key] = _compile(_record(agent, batch), batch)
        agent.critic_updates += 1
        return self._compiled[key](batch)


def _record(agent: DDPG, batch: Batch) -> _Recording:
    """One update of the agent as a graph; the agent itself is not updated."""
    if agent.device.type != "cpu":
        raise CompilationError(f"device={agent.device}: updates are compiled for the CPU only.")
    twin = copy.deepcopy(agent)
    for optimizer in (twin.critic_optimizer, twin.actor_optimizer):
        for group in optimizer.param_groups:
            # A fused step would be one opaque kernel; without `capturable` the count of steps would be a constant.
            chosen = {"fused": False, "foreach": True, "capturable": True}
            group.update({name: value for name, value in chosen.items() if name in group})
    own = _tensors(agent)
    before = _tensors(twin)
    tags: list[str] = []

    def update(*tensors: Tensor) -> list[Tensor]:
        measurements = twin.update(Batch(*tensors))
        twin.clear_gradients()
        tags[:] = measurements
        return list(measurements.values())

    try:
        with torch.compiler._compile_session_context():
            graph = make_fx(update, decomposition_table=REWRITES)(*batch)
    except Exception as error:  # whatever a stop, a freeze or an optimizer of the user's own may do
        raise CompilationError(f"the update cannot be recorded ({error}).") from error
    if list(map(id, before)) != list(map(id, _tensors(twin))):
        raise CompilationError("the optimizer makes new state in an update, which compiled code cannot.")
    places = {id(tensor): place for place, tensor in enumerate(before)}
    return _Recording(graph, [own[place].detach() for place in _lift(graph, places)], tags)


def _tensors(agent: DDPG) -> list[Tensor]:
    """All that an update may read or write, in the same order for equal agents."""
    found = [tensor for module in agent.modules().values() for tensor in (*module.parameters(), *module.buffers())]
    for optimizer in (agent.critic_optimizer, agent.actor_optimizer):
        for group in optimizer.param_groups:
            states = [optimizer.state.get(parameter, {}) for parameter in group["params"]]
            found += [value for state in states for value in state.values() if isinstance(value, Tensor)]
    return found


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


def _compile(recording: _Recording, batch: Batch) -> Callable[[Batch], dict[str, Tensor]]:
    inputs = (*recording.state, *batch)
    path = _cache_folder() / f"{_digest(recording.graph, inputs)}.pt2"
    if not path.exists():
        with _progress("compiling the update, once for this network and batch"):
            _build(recording.graph, inputs, path)
    # What torch._inductor.aoti_load_package wraps; that import takes longer than most runs' start.
    try:
        loader = torch._C._aoti.AOTIModelPackageLoader(str(path), "model", False, 1, -1)
    except RuntimeError as error:
        raise CompilationError(
            f"{path}: the compiled code cannot be loaded; delete the file to compile anew."
        ) from error

    def update(batch: Batch) -> dict[str, Tensor]:
        return dict(zip(recording.tags, loader.boxed_run([*recording.state, *batch]), strict=True))

    return update


def _build(graph: fx.GraphModule, inputs: tuple[Tensor, ...], path: Path) -> None:
    """Compile the graph into a file that appears whole or not at all."""
    if not any(map(shutil.which, [os.environ["CXX"]] if "CXX" in os.environ else ["g++", "clang++"])):
        raise CompilationError("there is no C++ compiler; install g++ or clang++, or name one in CXX.")
    from torch._inductor import aoti_compile_and_package  # takes seconds, and is needed only here

    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CompilationError(f"{path.parent}: cannot be made ({error.strerror}); set XDG_CACHE_HOME.") from error
    unfinished = path.with_name(f"{path.stem}.{os.getpid()}.pt2")
    # Copies that lie in memory as the inputs do: the code will take that for granted.
    layout = (torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype) for tensor in inputs)
    examples = tuple(empty.copy_(tensor) for empty, tensor in zip(layout, inputs, strict=True))
    try:
        with warnings.catch_warnings(action="ignore"):  # of PyTorch, about PyTorch
            program = torch.export.export(graph, examples, strict=False)
            aoti_compile_and_package(program, package_path=str(unfinished))
        os.replace(unfinished, path)
    except Exception as error:  # the compiler, the disk
        raise CompilationError(f"the update cannot be compiled ({error}).") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _cache_folder() -> Path:
    """Of this user: what lies in it is run."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ddpg"


def _digest(graph: fx.GraphModule, inputs: tuple[Tensor, ...]) -> str:
    """Of everything that the compiled code depends on."""
    layout = [(tensor.shape, tensor.stride(), tensor.dtype) for tensor in inputs]
    parts = (graph.code, layout, torch.get_num_threads(), torch.__version__, torch.version.git_version, _processor())
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _processor() -> str:
    """What it can do: the code is compiled for this very one, and a home may be shared between several."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.machine())


@contextmanager
def _progress(doing: str) -> Iterator[None]:
    """Show that something is under way, and for how long."""
    done = threading.Event()
    with tqdm(bar_format="{desc} {elapsed}", desc=doing, leave=False) as bar:

        def tick() -> None:
            while not done.wait(0.5):
                bar.refresh()

        clock = threading.Thread(target=tick, daemon=True)
        clock.start()
        try:
            yield
        finally:
            done.set()
            clock.join()


def _powers(base: float, exponents: list[Tensor]) -> list[Tensor]:
    """Adam's powers of β, computed once: alone, each would be inlined into the loop over a parameter's elements."""
    return list(torch.stack([torch.pow(base, exponent) for exponent in exponents]).unbind())


def _matrix_product(left: Tensor, right: Tensor) -> Any:
    """`left @ right`, with skinny operands in the form that is fast on a CPU."""
    (rows, inner), columns = left.shape, right.shape[1]
    if inner <= 4 < columns:  # a few outer products, fused with what follows
        products = [left[:, k : k + 1] * right[k : k + 1] for k in range(inner)]
        return functools.reduce(torch.add, products)
    if columns == 1 < inner:
        return (left * right.t()).sum(dim=1, keepdim=True)
    if columns <= 32 < rows:
        return torch.mm(right.t(), left.t()).t()
    return NotImplemented


def _affine(bias: Tensor, left: Tensor, right: Tensor) -> Any:
    product = _matrix_product(left, right)
    return NotImplemented if product is NotImplemented else product + bias


REWRITES: dict[Any, Callable[..., Any]] = {
    torch.ops.aten._foreach_pow.ScalarAndTensor: _powers,
    torch.ops.aten.mm.default: _matrix_product,
    torch.ops.aten.addmm.default: _affine,
}
