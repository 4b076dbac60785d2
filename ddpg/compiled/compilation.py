"""Compilation of recorded graphs: to machine code on a CPU, to a CUDA graph on a GPU."""

import hashlib
import io
import os
import platform
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, fx

from ddpg.base.errors import Note
from ddpg.base.progress import under_way
from ddpg.compiled.recording import Recording

_CHECKSUM_SIZE = hashlib.sha256().digest_size
Function = Callable[[Sequence[Tensor]], list[Tensor]]


class CompilationError(RuntimeError):
    """Raised when a graph cannot be compiled on this machine; eagerly the same can be run all the same."""


def build(recording: Recording, state: Sequence[Tensor], inputs: Sequence[Tensor]) -> Function:
    """Compile a recording to a function of inputs that lie in memory as these do, reading and writing this state.

    On a CPU the compiled code is kept in a cache, so that the next process finds it there.

    Args:
        recording: the recorded function.
        state: the tensors that `recording.places` counts in; not altered by this.
        inputs: example inputs.

    Raises:
        CompilationError: if there is no C++ compiler, the cache cannot be used, or the device is neither.
    """
    state = [state[place] for place in recording.places]
    device = inputs[0].device.type
    if device == "cuda":
        return _capture(recording.graph, state, inputs)
    if device != "cpu":
        raise CompilationError(f"device={device}: code is compiled for CPU and CUDA only.")
    return _load(recording.graph, state, inputs)


def _capture(graph: fx.GraphModule, state: Sequence[Tensor], inputs: Sequence[Tensor]) -> Function:
    """Capture all kernels, to be launched as one (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs)."""
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


def _load(graph: fx.GraphModule, state: Sequence[Tensor], inputs: Sequence[Tensor]) -> Function:
    path = _cache_folder() / f"{_digest(graph, (*state, *inputs))}.checked.pt2"
    package = _read(path)
    if package is None:
        with under_way("compiling the update, once for this network and batch: some 20 s, more on a busy machine"):
            package = _compile(graph, (*state, *inputs), path)
    try:
        # Unpacked here, since a loader that unpacks by itself leaves its folder behind when its process is killed.
        with tempfile.TemporaryDirectory(prefix="ddpg-", ignore_cleanup_errors=True) as folder:
            zipfile.ZipFile(io.BytesIO(package)).extractall(folder)
            # What torch._inductor.aoti_load_package wraps; that import takes longer than most runs' start.
            run = torch._C._aoti.AOTIModelPackageLoader(folder, "model", False, 1, -1).boxed_run
    except Exception as error:  # of a loader that another version of PyTorch has changed, for instance
        raise CompilationError(
            f"{path}: the compiled code cannot be loaded ({error}); delete the file to compile anew."
        ) from error
    return lambda inputs: run([*state, *inputs])


def _read(path: Path) -> bytes | None:
    """Return the compiled code in the cache, if it is there and as it was written."""
    try:
        _refuse_what_others_may_change(path.parent)
        _refuse_what_others_may_change(path)
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CompilationError(f"{path}: cannot be read ({error.strerror}); set XDG_CACHE_HOME.") from error
    checksum, package = content[:_CHECKSUM_SIZE], content[_CHECKSUM_SIZE:]
    if hashlib.sha256(package).digest() == checksum:
        return package
    warnings.warn(f"{path}: the compiled code is damaged; it is deleted, and compiled anew.", Note, stacklevel=2)
    path.unlink(missing_ok=True)
    return None


def _refuse_what_others_may_change(path: Path) -> None:
    status = path.stat()
    if os.name == "posix" and (status.st_uid != os.geteuid() or status.st_mode & 0o022):
        raise CompilationError(
            f"{path}: others may change it, and what lies there is run; make it your own, chown $USER and "
            "chmod go-w, or set XDG_CACHE_HOME to a folder of yours."
        )


def _compile(graph: fx.GraphModule, inputs: tuple[Tensor, ...], path: Path) -> bytes:
    """Compile the graph; keep the code, behind its checksum, in a file that appears whole or not at all."""
    known = [os.environ["CXX"]] if "CXX" in os.environ else ["g++", "clang++"]
    compiler = next(filter(None, map(shutil.which, known)), None)
    if compiler is None:
        raise CompilationError(
            f"CXX={os.environ['CXX']}: no such program; name a C++ compiler, without arguments, or unset CXX."
            if "CXX" in os.environ
            else "there is no C++ compiler; install g++ or clang++, or name one in CXX."
        )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CompilationError(f"{path.parent}: cannot be made ({error.strerror}); set XDG_CACHE_HOME.") from error
    # Copies that lie in memory as the inputs do: the code will take that for granted.
    layout = (torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype) for tensor in inputs)
    examples = tuple(empty.copy_(tensor) for empty, tensor in zip(layout, inputs, strict=True))
    unfinished: Path | None = None
    try:
        from torch._inductor import aoti_compile_and_package, config  # takes seconds, and is needed only here

        package = io.BytesIO()
        with warnings.catch_warnings(action="ignore"):  # of PyTorch, about PyTorch
            program = torch.export.export(graph, examples, strict=False)
            configs = {
                "cpp.cxx": (None, compiler),
                # Its patterns would put sums of products and biases, which fuse with what follows, together again.
                "pattern_matcher": False,
                "cpp.vec_isa_ok": True,  # what the processor says of itself is not tried out: 8 s
            }
            if hasattr(config.aot_inductor, "precompile_headers"):  # not in every version
                configs["aot_inductor.precompile_headers"] = False  # which two files do not repay: 13 s
            aoti_compile_and_package(program, package_path=package, inductor_configs=configs)
        compiled = package.getvalue()
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:  # that nobody else may read or write
            unfinished = Path(file.name)
            file.write(hashlib.sha256(compiled).digest() + compiled)
        os.replace(unfinished, path)
    except Exception as error:  # the compiler, the disk
        raise CompilationError(f"{path.name} cannot be compiled ({error}).") from error
    finally:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)
    return compiled


def _cache_folder() -> Path:
    """Return the cache of this user alone: what lies in it is run."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ddpg"


def _digest(graph: fx.GraphModule, inputs: tuple[Tensor, ...]) -> str:
    """Return the SHA-256 of everything that the compiled code depends on."""
    layout = [(tensor.shape, tensor.stride(), tensor.dtype) for tensor in inputs]
    nodes = graph.graph.find_nodes(op="get_attr")
    constants = [getattr(graph, str(node.target)).tolist() for node in nodes]
    versions = (torch.__version__, torch.version.git_version)
    parts = (graph.code, constants, layout, torch.get_num_threads(), versions, _processor())
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _processor() -> str:
    """Return what the processor can do: code is compiled for this very one, and several may share a home."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.machine())
