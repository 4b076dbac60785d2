"""What the audit uses of PyTorch that is not public, all of it: what for, since when, and what is lost without it.

A part that is missing has a neutral stand-in, and whatever could be untrue without it is not said; `lost` tells of it.
"Since" is the oldest version in which it was found, of those tried: 2.6, 2.8, 2.10, 2.13, 2.14.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

NEWEST_TRIED = (2, 14)


def _part(path: str, otherwise: Any = None) -> Any:
    """Return a part of PyTorch by its name; the stand-in where there is none."""
    found: Any = torch
    for name in path.split("."):
        found = getattr(found, name, None)
    return otherwise if found is None else found


# Every backward pass goes through it, so that this is where they are watched. Since 2.6.
# Without it no pass is seen, and an audit cannot be opened.
ENGINE = "_engine_run_backward"
has_engine = _part(f"autograd.{ENGINE}") is not None


def engine_arguments(args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Sequence[Any], Sequence[Any], bool]:
    """Return `grad_tensors`, `inputs` and `accumulate_grad` of a call of the engine."""
    names = ("grad_tensors", "keep_graph", "create_graph", "inputs", "allow_unreachable", "accumulate_grad")
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    return given.get("grad_tensors") or (), given.get("inputs") or (), given.get("accumulate_grad", False)


# What the compiler must leave alone is marked so without loading the compiler. Since 2.6.
# Without it the public function does the same, and loads it.
uncompiled: Callable[..., Any] = _part("_compile._disable_dynamo", torch.compiler.disable)


def load_compiler() -> None:
    """Load the compiler before the audit's own mode is on: PyTorch 2.6 computes while any optimizer loads it."""
    with suppress(ImportError):
        import_module("torch._dynamo")


# Functions of PyTorch's that it puts around what it leaves uncompiled, or hands to modes. Since 2.6.
# With other names, a gradient that PyTorch itself reads could look as if a line of the user's had.
AROUND_UNCOMPILED = ("__torch_function__", "_fn", "inner")

# Where torch.compile keeps the module that it wraps. Since 2.6. With another name it would be in the parameters' names.
COMPILED = "_orig_mod"


def _hides_memory(tensor: Tensor) -> bool:
    """Whether a dense tensor has no memory of its own, as what transforms wrap."""
    try:
        if tensor.layout is torch.strided:
            tensor.untyped_storage()
    except (RuntimeError, NotImplementedError):
        return True
    return False


# Whether a compiler traces, or a transform of torch.func runs, whose passes are no passes of the training. Since 2.6.
# Without them such passes are known by tensors that are fake or hide their memory.
_tracing_context = _part("_guards.TracingContext.try_get", lambda: None)
_transform = _part("_C._functorch.peek_interpreter_stack")
_is_batched = _part("_C._functorch.is_legacy_batchedtensor")
if None in (_transform, _is_batched):
    _transform, _is_batched = lambda: None, _hides_memory


def tracing() -> bool:
    """Whether a compiler is tracing or a transform of torch.func at work."""
    return _tracing_context() is not None or _transform() is not None


def has_values(tensor: Tensor) -> bool:
    """Whether a tensor is neither fake nor a batch of torch.vmap's."""
    return getattr(tensor, "fake_mode", None) is None and not _is_batched(tensor)


# The audit's own arithmetic is hidden from the user's modes. Since 2.6.
# Without them these see it, and count it.
DisableTorchFunction = _part("_C.DisableTorchFunction", nullcontext)
set_grad_enabled = _part("_C._set_grad_enabled", torch.set_grad_enabled)
pop_dispatch_mode = _part("_C._pop_torch_dispatch_stack")
push_dispatch_mode = _part("_C._push_on_torch_dispatch_stack")
dispatch_modes = _part("_C._len_torch_dispatch_stack")
if None in (pop_dispatch_mode, push_dispatch_mode, dispatch_modes):
    dispatch_modes = int  # 0

# Tracing leaves its own mode wherever that lies among the user's, and tells what is older than the audit. Since 2.6.
# Without them, or with the audit's arithmetic in the mode's sight, nothing is traced.
pop_function_mode = _part("_C._pop_torch_function_stack")
push_function_mode = _part("_C._push_on_torch_function_stack")
function_modes = _part("_C._len_torch_function_stack")
sequence_number = _part("_C._autograd._get_sequence_nr")
can_trace = DisableTorchFunction is not nullcontext and None not in (
    *(pop_function_mode, push_function_mode, function_modes, sequence_number),
    _part("_C._functions.AccumulateGrad._sequence_nr"),
)


def is_new(node: Node, first: int) -> bool:
    """Whether a node has this number or a later one."""
    return bool(node._sequence_nr() >= first)


# What a node has saved, and whether hooks have packed it away, for then it must not be unpacked. Since 2.10.
# Without it no size of a graph is known, none is said, and no tracked target is too small to be named.
knows_memory = all(_part(f"_C._autograd.SavedTensor.{name}") is not None for name in ("data", "unpack_hook"))


@cache
def saved_names(kind: type[Node]) -> list[str]:
    """Return the attributes in which nodes of a kind have what they saved."""
    return [name for name in dir(kind) if name.startswith("_raw_saved_")] if knows_memory else []


def saved(node: Node, name: str) -> Iterator[Tensor]:
    """Yield the tensors in such an attribute, without those that hooks have packed away."""
    found = getattr(node, name)
    for each in found if isinstance(found, (tuple, list)) else (found,):
        if each.unpack_hook is None and isinstance(each.data, Tensor):
            yield each.data


# The shapes of the gradients that enter a node, from which the work of a pass is estimated. Since 2.6.
# Without them no gradient's share of that work is known, and waste is not looked for.
knows_work = _part("_C._functions.AccumulateGrad._input_metadata") is not None


def shape(node: Node, number: int) -> tuple[int, ...]:
    """Return the shape of the gradient that enters a node."""
    try:
        return tuple(int(each) for each in node._input_metadata[number].shape)
    except Exception:  # no such metadata, or a nested tensor's symbolic size: the estimate does without
        return ()


# What normalisation layers with running statistics have in common. Since 2.6.
# Without it those that derive from none of PyTorch's own are not known as such.
NORMALISATION: Any = _part(
    "nn.modules.batchnorm._NormBase",
    (
        *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
        *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
    ),
)


def lost(untraced: bool = False) -> Iterator[str]:
    """Yield what this PyTorch hides from an audit, one sentence each; `untraced` if it could not trace as asked."""
    version = str(torch.__version__).partition("+")[0]
    if tuple(map(int, re.findall(r"\d+", version)[:2])) > NEWEST_TRIED:
        newest = ".".join(map(str, NEWEST_TRIED))
        yield f"PyTorch {version} is newer than {newest}, the newest that this was tried with: it may not see all."
    if untraced:
        yield f"PyTorch {version} hides what tracing needs: nothing was traced."
    if not knows_work:
        yield f"PyTorch {version} does not tell the shapes of gradients in a graph: waste was not looked for."
