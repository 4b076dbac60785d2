"""Recorded graphs as fast code: compiled to machine code on a CPU, captured as a CUDA graph on a GPU."""

import hashlib
import os
import platform
import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, fx

from ddpg.progress import under_way
from ddpg.recording import Recording

Function = Callable[[Sequence[Tensor]], list[Tensor]]


class CompilationError(RuntimeError):
    """The graph cannot be compiled on this machine; eagerly the same can be run all the same."""


def build(recording: Recording, state: Sequence[Tensor], inputs: Sequence[Tensor], what: str) -> Function:
    """What was recorded, as a function of inputs that lie in memory as these do, reading and writing this state.

    On a CPU the compiled code is kept in a cache, so that the next process finds it there.

    Args:
        recording: of the function.
        state: the tensors that `recording.places` counts in; not altered by this.
        inputs: examples.
        what: it is, for the progress shown.

    Raises:
        CompilationError: if there is no C++ compiler, the cache cannot be used, or the device is neither.
    """
    state = [state[place] for place in recording.places]
    device = inputs[0].device.type
    if device == "cuda":
        return _capture(recording.graph, state, inputs)
    if device != "cpu":
        raise CompilationError(f"device={device}: code is compiled for CPU and CUDA only.")
    return _load(recording.graph, state, inputs, what)


def _capture(graph: fx.GraphModule, state: Sequence[Tensor], inputs: Sequence[Tensor]) -> Function:
    """One launch for all kernels (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs)."""
    if any(tensor.device.type != "cuda" for tensor in state):
        raise CompilationError("the optimizer keeps a part of its state on the CPU; take Adam.")
    device = inputs[0].device
    state = [tensor.detach() for tensor in state]
    static = [tensor.clone() for tensor in inputs]
    before = [tensor.clone() for tensor in state]
    with torch.cuda.device(device):
        captured, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(stream):  # libraries set themselves up at a first call, which cannot be captured
                graph(*state, *static)
            torch.cuda.current_stream().wait_stream(stream)
            with torch.cuda.graph(captured):
                outputs = graph(*state, *static)
        except RuntimeError as error:
            raise CompilationError(f"device={device}: the graph cannot be captured ({error}).") from error
        finally:
            torch._foreach_copy_(state, before)

    def run(inputs: Sequence[Tensor]) -> list[Tensor]:
        with torch.cuda.device(device):
            torch._foreach_copy_(static, list(inputs))
            captured.replay()
            return [output.clone() for output in outputs]

    return run


def _load(graph: fx.GraphModule, state: Sequence[Tensor], inputs: Sequence[Tensor], what: str) -> Function:
    path = _cache_folder() / f"{_digest(graph, (*state, *inputs))}.pt2"
    if not path.exists():
        with under_way(f"compiling {what}, once for this network and batch"):
            _compile(graph, (*state, *inputs), path)
    # What torch._inductor.aoti_load_package wraps; that import takes longer than most runs' start.
    try:
        loader = torch._C._aoti.AOTIModelPackageLoader(str(path), "model", False, 1, -1)
    except RuntimeError as error:
        raise CompilationError(
            f"{path}: the compiled code cannot be loaded; delete the file to compile anew."
        ) from error
    return lambda inputs: loader.boxed_run([*state, *inputs])


def _compile(graph: fx.GraphModule, inputs: tuple[Tensor, ...], path: Path) -> None:
    """Compile the graph into a file that appears whole or not at all."""
    known = [os.environ["CXX"]] if "CXX" in os.environ else ["g++", "clang++"]
    compiler = next(filter(None, map(shutil.which, known)), None)
    if compiler is None:
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
            # Its patterns would put sums of products and biases, which fuse with what follows, together again.
            configs = {"pattern_matcher": False, "cpp.cxx": (None, compiler)}
            aoti_compile_and_package(program, package_path=str(unfinished), inductor_configs=configs)
        os.replace(unfinished, path)
    except Exception as error:  # the compiler, the disk
        raise CompilationError(f"{path.name} cannot be compiled ({error}).") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _cache_folder() -> Path:
    """Of this user: what lies in it is run."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ddpg"


def _digest(graph: fx.GraphModule, inputs: tuple[Tensor, ...]) -> str:
    """Of everything that the compiled code depends on."""
    layout = [(tensor.shape, tensor.stride(), tensor.dtype) for tensor in inputs]
    nodes = graph.graph.find_nodes(op="get_attr")
    constants = [getattr(graph, str(node.target)).tolist() for node in nodes]
    versions = (torch.__version__, torch.version.git_version)
    parts = (graph.code, constants, layout, torch.get_num_threads(), versions, _processor())
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _processor() -> str:
    """What it can do: the code is compiled for this very one, and a home may be shared between several."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.machine())
