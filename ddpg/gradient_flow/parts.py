"""The modules and tensors that are audited, with parameters that a module does not register."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from weakref import ref

import torch
from torch import Tensor, nn
from torch.utils.weak import TensorWeakRef

from ddpg.gradient_flow import private


@dataclass
class Part:
    """One audited module or tensor.

    Attributes:
        name: its own.
        get: gives the module or tensor; None once it is no more.
        is_module: whether it is a module.
        kind: the class's name.
        unregistered: likewise what the module has in plain attributes, by path: modules, and tensors that require a
            gradient.
        inside: the part of which it is one of the parts, if it was found there.
        around: the smallest part that contains it, if so.
        where: where the user's code has it, in words; empty if the user has named it.
        rank: its place among what was found.
    """

    name: str
    get: Callable[[], nn.Module | Tensor | None]
    is_module: bool = True
    unregistered: dict[str, Callable[[], nn.Module | Tensor | None]] = field(default_factory=dict)
    kind: str = "Tensor"
    inside: str = ""
    around: str = ""
    where: str = ""
    rank: int = 0

    @property
    def module(self) -> nn.Module | None:
        """Itself, if it is a module."""
        found = self.get()
        return found if isinstance(found, nn.Module) else None

    def parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Yield names within the part, and the tensors as they are now; one under each of its names."""
        own = self.get()
        if isinstance(own, nn.Module):
            yield from _parameters(own)
        elif own is not None:
            yield "", own
        for path, get in self.unregistered.items():
            each = get()
            if isinstance(each, nn.Module):
                yield from ((f"{path}.{inner}", tensor) for inner, tensor in _parameters(each))
            elif each is not None:
                yield path, each

    def modules(self) -> Iterator[tuple[str, nn.Module]]:
        """Yield the module and all that it consists of, by path."""
        if self.module is not None:
            yield from self.module.named_modules()
        for path, get in self.unregistered.items():
            each = get()
            if isinstance(each, nn.Module):
                yield from ((f"{path}.{inner}".rstrip("."), module) for inner, module in each.named_modules())

    def buffers(self, kind: Any = nn.Module) -> dict[str, dict[str, Tensor]]:
        """Return copies of the buffers of all modules of a kind, by the module's path and the buffer's name."""
        return {
            path: {name: each.detach().clone() for name, each in module.named_buffers(recurse=False)}
            for path, module in self.modules()
            if isinstance(module, kind)
        }


def part_of(name: str, each: nn.Module | Tensor, keep: bool = True) -> Part:
    """Return what is audited under a name, which it keeps alive or not."""
    if isinstance(each, Tensor):
        return Part(name, (lambda: each) if keep else TensorWeakRef(each), is_module=False)
    part = Part(name, (lambda: each) if keep else ref(each), kind=type(each).__name__)
    if not isinstance(each, torch.jit.ScriptModule):
        known = {id(module) for module in each.modules()} | {id(tensor) for tensor in each.parameters()}
        for path, module in each.named_modules():
            for attribute, value in vars(module).items():
                if not attribute.startswith("_") or isinstance(value, (Tensor, list, tuple)):
                    for inner, found in _unregistered(value, f"{path}.{attribute}".lstrip(".")):
                        if id(found) not in known and attribute not in ("_parameters", "_buffers", "_modules"):
                            known.add(id(found))
                            weak = ref(found) if isinstance(found, nn.Module) else TensorWeakRef(found)
                            part.unregistered[inner] = weak
    return part


def unwrapped(module: nn.Module) -> nn.Module:
    """Return what torch.compile has wrapped; any other module as it is."""
    return module._modules.get(private.COMPILED) or module


def _unregistered(value: Any, path: str) -> Iterator[tuple[str, nn.Module | Tensor]]:
    if isinstance(value, nn.Module) or (isinstance(value, Tensor) and value.is_leaf and value.requires_grad):
        yield path, value
    elif isinstance(value, (list, tuple, dict)) and len(value) < 1000:
        items: Iterable[tuple[Any, Any]] = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in items:
            if isinstance(each, (nn.Module, Tensor, list, tuple, dict)):
                yield from _unregistered(each, f"{path}.{key}")


def _parameters(module: nn.Module, prefix: str = "", above: tuple[int, ...] = ()) -> Iterator[tuple[str, Tensor]]:
    if isinstance(module, torch.jit.ScriptModule):
        yield from ((prefix + name, each) for name, each in module.named_parameters(remove_duplicate=False))
        return
    for name, each in module._parameters.items():
        # What functional_call puts in a parameter's place for a while is none.
        if isinstance(each, nn.Parameter):
            yield prefix + name, each
    for name, child in module._modules.items():
        if child is not None and id(child) not in above:
            yield from _parameters(child, f"{prefix}{name}.", (*above, id(module)))
