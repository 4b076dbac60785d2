"""Watches PyTorch's own entry points while at least one audit is open, so that audits see unmodified code.

Every way to run a backward pass ends in PyTorch's engine; every step of an optimizer calls the
hooks of `register_optimizer_step_pre_hook` and `…_post_hook`; gradients are cleared by `zero_grad` of optimizers and
modules, and steps left out by `GradScaler.step`; every call of a module, which only tracing audits need, goes through
`Module.__call__`. What is put in their place is taken away when the last audit closes.
"""

import inspect
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import wraps
from types import FunctionType
from typing import Any, ParamSpec, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from ddpg.gradient_flow import private
from ddpg.gradient_flow.places import NOWHERE, call_stack
from ddpg.gradient_flow.tensors import has_values


class OpenPass(Protocol):
    """Backward pass under way."""

    def include(self, outputs: Sequence[Tensor | GradientEdge], inputs: Sequence[Tensor | GradientEdge]) -> None:
        """Take another graph that runs inside the pass as part of it."""

    def returned(self, gradients: Sequence[Tensor | None]) -> None:
        """Take what `torch.autograd.grad` returns to the user."""

    def close(self) -> None:
        """End the pass, also after an error."""


class Audit(Protocol):
    """Is told of every pass, step and cleared gradient in its thread."""

    def open_pass(
        self, outputs: Sequence[Tensor | GradientEdge], inputs: Sequence[Tensor | GradientEdge], accumulate: bool
    ) -> OpenPass: ...
    def made(self, optimizer: Optimizer) -> None: ...
    def settled(self) -> None: ...
    def before_step(self, optimizer: Optimizer) -> None: ...
    def after_step(self, optimizer: Optimizer) -> None: ...
    def about_to_clear(self, tensors: Iterable[Tensor]) -> None: ...
    def cleared(self, tensors: Iterable[Tensor]) -> None: ...
    def left_out(self, optimizer: Optimizer) -> None: ...
    def ran_elsewhere(self, thread: str) -> None: ...
    def abandon(self) -> None: ...


class Caller(Protocol):
    """Is told of every call of a module in its thread."""

    stack: list[Any]

    def call(self, module: nn.Module) -> None: ...
    def leave(self, output: object) -> None: ...


class _Thread(threading.local):
    """What watches one thread: an audit sees the thread that opened it."""

    audits: tuple[Audit, ...] = ()
    callers: tuple[Caller, ...] = ()
    passes: tuple[tuple[Audit, OpenPass], ...] = ()
    steps: int = 0


P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

_thread = _Thread()
_audits: list[Audit] = []  # of all threads
_lock = threading.Lock()
_open = {"audits": 0, "callers": 0}  # how many watch
_undo = {"audits": ExitStack(), "callers": ExitStack()}


def watch(audit: Audit) -> None:
    """Tell the audit of passes and steps in this thread from here on."""
    _opened("audits", _install)
    _thread.audits += (audit,)
    _audits.append(audit)


def unwatch(audit: Audit) -> None:
    """Undo one `watch` of the audit."""
    _thread.audits = tuple(each for each in _thread.audits if each is not audit)
    _audits[:] = [each for each in _audits if each is not audit]
    _closed("audits")


def watch_calls(caller: Caller) -> None:
    """Tell the caller of calls of modules in this thread from here on."""
    _opened("callers", _install_calls)
    _thread.callers += (caller,)


def unwatch_calls(caller: Caller) -> None:
    """Undo `watch_calls`."""
    _thread.callers = tuple(each for each in _thread.callers if each is not caller)
    _closed("callers")


def _opened(kind: str, install: Callable[[], None]) -> None:
    with _lock:
        if _open[kind] == 0:
            install()
        _open[kind] += 1


def _closed(kind: str) -> None:
    with _lock:
        _open[kind] -= 1
        if _open[kind] == 0:
            _undo[kind].close()


def compiling() -> bool:
    """Whether PyTorch is tracing code rather than running it: a compiler at work, or a transform of torch.func."""
    return torch.compiler.is_compiling() or private.tracing()


def as_pytorchs_own(function: F) -> F:
    """Pass the function off as PyTorch's own: the compiler traces through it, and never compiles it by itself."""
    assert isinstance(function, FunctionType)
    function.__code__ = function.__code__.replace(co_filename=inspect.getfile(nn.Module))
    return function


def uncompiled(function: Callable[P, R]) -> Callable[P, R]:
    """Have the compiler leave the function alone, with all that it calls."""
    marked: Callable[P, R] = private.uncompiled(function)
    return marked


def _forget() -> None:
    """Record nothing in a child process."""
    for audit in _thread.audits:
        audit.abandon()
    _thread.audits, _thread.callers, _thread.passes = (), (), ()
    _audits.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _elsewhere() -> None:
    """Tell all audits if code of the user's runs in a thread that no audit was opened in."""
    if not _thread.audits and call_stack() != (NOWHERE,):  # PyTorch's own threads run parts of passes
        for audit in list(_audits):
            audit.ran_elsewhere(threading.current_thread().name)


def _install() -> None:
    if not private.has_engine:
        raise RuntimeError(f"PyTorch {torch.__version__} hides its backward passes: the audit cannot see one.")
    autograd: Any = torch.autograd
    run_backward = getattr(autograd, private.ENGINE)

    @uncompiled
    def watched_run_backward(outputs: Any, *args: Any, **kwargs: Any) -> Any:
        _elsewhere()
        starts, inputs, accumulate = private.engine_arguments(args, kwargs)
        tensors = [each for each in (*outputs, *starts) if isinstance(each, Tensor)]
        if not _thread.audits or compiling() or not all(map(has_values, tensors)):
            return run_backward(outputs, *args, **kwargs)
        around = _thread.passes
        for _, each in around:  # a backward pass inside one, as checkpointing makes: part of it
            each.include(outputs, inputs)
        watching = [audit for audit, _ in around]
        new = [audit for audit in _thread.audits if not any(audit is each for each in watching)]
        opened = [(audit, audit.open_pass(outputs, inputs, accumulate)) for audit in new]
        _thread.passes = (*around, *opened)
        try:
            result = run_backward(outputs, *args, **kwargs)
            for _, each in opened:
                each.returned(result)
        finally:
            _thread.passes = around
            for _, each in opened:
                each.close()
        for audit, _ in opened:
            audit.settled()
        return result

    @uncompiled
    def before_step(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if not compiling():
            _elsewhere()
            _thread.steps += 1
            for audit in _thread.audits:
                audit.before_step(optimizer)

    @uncompiled
    def after_step(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        audits = () if compiling() else _thread.audits
        for audit in audits:
            audit.after_step(optimizer)
        for audit in audits:
            audit.settled()

    def watched_init(init: Callable[..., None]) -> Any:
        @wraps(init)
        def watched(optimizer: Optimizer, *args: Any, **kwargs: Any) -> None:
            init(optimizer, *args, **kwargs)
            for audit in _thread.audits:
                audit.made(optimizer)

        return watched

    def watched_zero_grad(zero_grad: Callable[..., None], tensors: Callable[[Any], Iterable[Tensor]]) -> Any:
        @uncompiled
        @wraps(zero_grad)
        def watched(self: Any, *args: Any, **kwargs: Any) -> None:
            for audit in () if compiling() else _thread.audits:
                audit.about_to_clear(tensors(self))
            zero_grad(self, *args, **kwargs)
            for audit in () if compiling() else _thread.audits:
                audit.cleared(tensors(self))

        return watched

    def watched_scaler_step(step: Callable[..., Any]) -> Any:
        @wraps(step)
        def watched(scaler: Any, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
            steps = _thread.steps
            result = step(scaler, optimizer, *args, **kwargs)
            for audit in _thread.audits if _thread.steps == steps else ():
                audit.left_out(optimizer)
            return result

        return watched

    _replace("audits", autograd, private.ENGINE, watched_run_backward)
    _replace("audits", Optimizer, "__init__", watched_init(Optimizer.__init__))
    _replace("audits", Optimizer, "zero_grad", watched_zero_grad(Optimizer.zero_grad, held_by))
    _replace("audits", nn.Module, "zero_grad", watched_zero_grad(nn.Module.zero_grad, nn.Module.parameters))
    _replace("audits", torch.amp.GradScaler, "step", watched_scaler_step(torch.amp.GradScaler.step))
    _undo["audits"].callback(register_optimizer_step_pre_hook(before_step).remove)
    _undo["audits"].callback(register_optimizer_step_post_hook(after_step).remove)


def held_by(optimizer: Optimizer) -> list[Tensor]:
    """Return the parameters that an optimizer holds."""
    groups = getattr(optimizer, "param_groups", ())  # none yet while it is being made
    return [each for group in groups for each in group["params"]]


def _replace(kind: str, owner: Any, name: str, ours: Any) -> None:
    theirs = getattr(owner, name)

    def restore() -> None:
        # Where someone has put yet another function on top meanwhile, that one stays, and ours passes through.
        if getattr(owner, name) is ours:
            setattr(owner, name, theirs)

    setattr(owner, name, ours)
    _undo[kind].callback(restore)


def _install_calls() -> None:
    modules: Any = nn.Module
    call = modules.__call__

    def watched_call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return call(module, *args, **kwargs)
        entered = enter(module)
        try:
            output = call(module, *args, **kwargs)
        except BaseException:
            for caller, depth in entered:  # no call of ours: the error may be that of too many calls
                del caller.stack[depth:]
            raise
        leave(entered, output)
        return output

    @uncompiled
    def enter(module: nn.Module) -> list[tuple[Caller, int]]:
        callers = () if compiling() else _thread.callers
        entered = [(caller, len(caller.stack)) for caller in callers]
        for caller in callers:
            caller.call(module)
        return entered

    @uncompiled
    def leave(entered: list[tuple[Caller, int]], output: object) -> None:
        for caller, depth in entered:
            if len(caller.stack) > depth:  # it may have been closed meanwhile
                caller.leave(output)
                del caller.stack[depth:]

    _replace("callers", modules, "__call__", as_pytorchs_own(watched_call))
