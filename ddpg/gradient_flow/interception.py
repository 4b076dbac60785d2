"""How audits see unmodified code: PyTorch's own entry points, watched while at least one audit is open.

Every way to run a backward pass ends in `torch.autograd._engine_run_backward`; every step of an optimizer calls the
hooks of `register_optimizer_step_pre_hook` and `…_post_hook`; every call of a module goes through `Module.__call__`.
What is put in their place is taken away when the last audit closes.
"""

import inspect
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import FunctionType
from typing import Any, ParamSpec, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch._compile import _disable_dynamo
from torch.autograd.graph import GradientEdge
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook


class OpenPass(Protocol):
    """A backward pass under way."""

    def __enter__(self) -> "OpenPass": ...
    def __exit__(self, *exception: object) -> None: ...
    def include(self, outputs: Sequence[Tensor | GradientEdge], inputs: Sequence[Tensor | GradientEdge]) -> None:
        """Another graph runs inside the pass."""

    def returned(self, gradients: Sequence[Tensor | None]) -> None:
        """What `torch.autograd.grad` hands to the user."""


class Audit(Protocol):
    """What is told of every event in its thread."""

    def open_pass(
        self, outputs: Sequence[Tensor | GradientEdge], inputs: Sequence[Tensor | GradientEdge], accumulate: bool
    ) -> OpenPass: ...
    def before_step(self, optimizer: Optimizer) -> None: ...
    def after_step(self, optimizer: Optimizer) -> None: ...
    def call_module(self, module: nn.Module) -> None: ...
    def leave_module(self, output: object) -> None: ...


class _Thread(threading.local):
    """An audit sees the thread that opened it."""

    audits: tuple[Audit, ...] = ()
    passes: tuple[OpenPass, ...] = ()


P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

_thread = _Thread()
_lock = threading.Lock()
_open = 0
_undo = ExitStack()


def watch(audit: Audit) -> None:
    """Tell the audit what happens in this thread."""
    global _open
    with _lock:
        if _open == 0:
            _install()
        _open += 1
    _thread.audits += (audit,)


def unwatch(audit: Audit) -> None:
    """Tell it no more."""
    global _open
    _thread.audits = tuple(each for each in _thread.audits if each is not audit)
    with _lock:
        _open -= 1
        if _open == 0:
            _undo.close()


def compiling() -> bool:
    """Whether PyTorch is tracing code rather than running it: a compiler at work, or a transform of torch.func."""
    return (
        torch.compiler.is_compiling()
        or torch._guards.TracingContext.try_get() is not None
        or torch._C._functorch.peek_interpreter_stack() is not None
    )


def as_pytorchs_own(function: F) -> F:
    """The function, for the compiler a line of PyTorch's: traced through, and never compiled by itself."""
    assert isinstance(function, FunctionType)
    function.__code__ = function.__code__.replace(co_filename=inspect.getfile(nn.Module))
    return function


def uncompiled(function: Callable[P, R]) -> Callable[P, R]:
    """The function, which the compiler leaves alone with all that it calls."""
    # What torch.compiler.disable does, but without loading the compiler before it is needed.
    return _disable_dynamo(function)


def _install() -> None:
    autograd: Any = torch.autograd
    modules: Any = nn.Module
    run_backward, call = autograd._engine_run_backward, modules.__call__

    @uncompiled
    def watched_run_backward(outputs: Any, *args: Any, **kwargs: Any) -> Any:
        audits = _thread.audits
        if not audits or compiling():
            return run_backward(outputs, *args, **kwargs)
        inputs = args[3] or ()
        if _thread.passes:  # a backward pass inside one, as checkpointing makes: part of it
            for each in _thread.passes:
                each.include(outputs, inputs)
            return run_backward(outputs, *args, **kwargs)
        with ExitStack() as stack:
            passes = [audit.open_pass(outputs, inputs, kwargs["accumulate_grad"]) for audit in audits]
            _thread.passes = tuple(map(stack.enter_context, passes))
            try:
                result = run_backward(outputs, *args, **kwargs)
            finally:
                _thread.passes = ()
            for each in passes:
                each.returned(result)
            return result

    def watched_call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return call(module, *args, **kwargs)
        audits = call_module(module)
        output = None
        try:
            output = call(module, *args, **kwargs)
        finally:
            leave_module(audits, output)
        return output

    @uncompiled
    def call_module(module: nn.Module) -> tuple[Audit, ...]:
        audits = () if compiling() else _thread.audits
        for audit in audits:
            audit.call_module(module)
        return audits

    @uncompiled
    def leave_module(audits: tuple[Audit, ...], output: object) -> None:
        for audit in audits:
            audit.leave_module(output)

    @uncompiled
    def before_step(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        for audit in _thread.audits:
            audit.before_step(optimizer)

    @uncompiled
    def after_step(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        for audit in _thread.audits:
            audit.after_step(optimizer)

    def restore() -> None:
        # Where someone has put yet another function on top meanwhile, that one stays, and ours passes through.
        if autograd._engine_run_backward is watched_run_backward:
            autograd._engine_run_backward = run_backward
        if modules.__call__ is watched_call:
            modules.__call__ = call

    autograd._engine_run_backward = watched_run_backward
    modules.__call__ = as_pytorchs_own(watched_call)
    _undo.callback(restore)
    _undo.callback(register_optimizer_step_pre_hook(before_step).remove)
    _undo.callback(register_optimizer_step_post_hook(after_step).remove)
