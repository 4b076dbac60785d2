"""Follows the weights of what is audited: their names, and how they change outside any optimizer's step."""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy
from torch.utils.weak import TensorWeakRef, WeakTensorKeyDictionary

from ddpg.gradient_flow import private
from ddpg.gradient_flow.parts import Part
from ddpg.gradient_flow.records import Writes
from ddpg.gradient_flow.tensors import LEAST_EVIDENCE, change, differ, has_values, is_blend, norm

_MOST_NAMES = 8
_Buffers = dict[str, dict[str, Tensor]]


@dataclass
class Parameter:
    """Parameter of the audited modules, with its key and the name that each module has for it."""

    tensor: Tensor
    key: str
    names: dict[str, str] = field(default_factory=dict)


class Weights:
    """The parameters, buffers and statistics of modules and tensors, while an audit is open.

    Args:
        parts: what is audited from the start.
        watched: names of those whose buffers are compared too.

    Attributes:
        parts: what is audited, by name.
        shown: the names in `owners`; all of the parts', but for those that were found inside others.
        event: the number of the next pass or step.
        names: for each parameter, by its key, the parts that have it.
        owners: likewise those that are shown.
        sizes: for each parameter, its shape.
        writes: for each parameter, its changes outside any step.
        asked: keys of the parameters that have required a gradient.
        twins: of each parameter, those that were equal to it when the audit was opened, or it was found.
        made_late: keys of the parameters that were not there then.
        resting: keys of the parameters of modules in evaluation mode; known after `refresh`, like what follows.
        moving: normalisation layers whose running statistics moved, by module.
        changed_buffers: buffers that changed, by module; of those that are watched.
        applied_by_hand: called with a parameter that the user's code has changed by itself, and the event's number.
    """

    def __init__(self, parts: Iterable[Part], watched: Iterable[str]) -> None:
        self.parts: dict[str, Part] = {part.name: part for part in parts}
        self.shown: list[str] = list(self.parts)
        self.event = 0
        self.owners: dict[str, tuple[str, ...]] = {}
        self.sizes: dict[str, torch.Size] = {}
        self.writes: dict[str, Writes] = {}
        self.asked: set[str] = set()
        self.twins: dict[str, set[str]] = {}
        self.made_late: set[str] = set()
        self.resting: set[str] = set()
        self.moving: dict[str, list[str]] = {}
        self.changed_buffers: dict[str, list[str]] = {}
        self._watched = frozenset(watched)
        self.names: dict[str, tuple[str, ...]] = {}
        self.applied_by_hand: Callable[[Tensor, int], None] = lambda tensor, event: None
        self._open = False
        self._numbers = itertools.count()
        self._unnamed = WeakTensorKeyDictionary()  # keys of parameters outside the audited modules
        self._named: dict[int, Parameter] = {}
        self._named_for: list[tuple[str, str, int]] = []
        self._keys: dict[int, tuple[str, TensorWeakRef]] = {}
        self._taken: dict[str, int] = defaultdict(int)
        self._weights: dict[str, Tensor] = {}
        self._versions: dict[int, int] = {}
        self._aliases: dict[int, Tensor] = {}  # tensors over a named parameter's memory, by the parameter's id
        self._statistics: dict[str, _Buffers] = {}  # of normalisation layers
        self._buffers: dict[str, _Buffers] = {}

    def add(self, parts: Iterable[Part] = ()) -> None:
        """Take a first look, at these parts too; what one has more than an earlier part of its name was made late."""
        if self._open:
            self.observe()
        grown = False
        for part in parts:
            if any(self._known(tensor) for _, tensor in part.parameters()):
                grown = part.name in self.parts or grown
            else:
                self._let_go(part.name)
            self.parts[part.name] = part
            if not part.inside and part.name not in self.shown:
                self.shown.append(part.name)
        self._open = self._open and grown
        self.observe()
        for key, twins in _twins(self._weights).items():
            self.twins.setdefault(key, set()).update(twins)
        for name, part in self.parts.items():
            if name not in self._statistics:
                self._statistics[name] = part.buffers(private.NORMALISATION)
            if name in self._watched and name not in self._buffers:
                self._buffers[name] = part.buffers()
        self._open = True

    def _let_go(self, name: str) -> None:
        """Forget a part that is no more: the parameters of another in its place are to go by the same names."""
        if name in self.parts:
            for kept in (self._weights, self._taken):
                for key in [key for key in kept if key == name or key.startswith(f"{name}.")]:
                    del kept[key]
            self._statistics.pop(name, None)
            self._buffers.pop(name, None)

    def show(self, shown: Iterable[str]) -> None:
        """Show these parts from here on."""
        self.shown[:] = shown
        own = {*self.shown}
        self.owners = {key: tuple(each for each in names if each in own) for key, names in self.names.items()}

    def refresh(self) -> None:
        """Note what has changed since the latest look."""
        self.observe()
        named = self.named()
        self.resting = {
            named[id(each)].key
            for part in self.parts.values()
            for _, module in part.modules()
            for each in (() if module.training else module.parameters(recurse=False))
            if id(each) in named
        }
        for name, part in self.parts.items():
            moved = _changed(self._statistics[name], part.buffers(private.NORMALISATION))
            self.moving[name] = list(dict.fromkeys(path for path, _ in moved))
        for name, before in self._buffers.items():
            changed = _changed(before, self.parts[name].buffers())
            self.changed_buffers[name] = [f"{path}.{buffer}".lstrip(".") for path, buffer in changed]

    def close(self) -> None:
        """Let go of every tensor and module."""
        self._open = False
        for part in self.parts.values():
            part.get = lambda: None
        for kept in (self._weights, self._keys, self._aliases, self._named, self._named_for, self._versions):
            kept.clear()
        self._statistics, self._buffers = {}, {}

    def before(self, key: str) -> Tensor | None:
        """Return a parameter as it was at the latest look."""
        return self._weights.get(key)

    def may_have_changed(self, named: Mapping[int, Parameter], certain: Iterable[int]) -> dict[int, Parameter]:
        """Return the parameters with the `certain` ids, and those whose version has changed."""
        sure = set(certain)
        return {
            id_: each for id_, each in named.items() if id_ in sure or self._versions.get(id_) != each.tensor._version
        }

    def alive(self) -> set[str]:
        """Return keys of the parameters outside the audited modules that still exist."""
        return {self._unnamed[tensor] for tensor in self._unnamed}

    def key_of(self, tensor: Tensor, named: Mapping[int, Parameter]) -> str:
        """Return a parameter's key, "#" and a number if no audited module has it."""
        if id(tensor) in named:
            return named[id(tensor)].key
        if tensor not in self._unnamed:
            self._unnamed[tensor] = f"#{next(self._numbers)}"
        key: str = self._unnamed[tensor]
        return key

    def named(self) -> dict[int, Parameter]:
        """Return the audited modules' parameters as they are now, by id."""
        current = [
            (name, inner, self._aliases.get(id(tensor), tensor))
            for name, part in self.parts.items()
            for inner, tensor in part.parameters()
        ]
        for _, _, tensor in current:
            if tensor.requires_grad and (key := self._known(tensor)) is not None:
                self.asked.add(key)
        found_for = [(name, inner, id(tensor)) for name, inner, tensor in current]
        if found_for == self._named_for and len(self._named) == len({each for _, _, each in found_for}):
            return self._named
        found: dict[int, Parameter] = {}
        for name, inner, tensor in current:
            if not is_lazy(tensor) and has_values(tensor):
                qualified = f"{name}.{inner}".rstrip(".").replace(f"{private.COMPILED}.", "")
                if id(tensor) not in found:
                    found[id(tensor)] = Parameter(tensor, self._key(tensor, qualified))
                found[id(tensor)].names.setdefault(name, qualified)
        self._named, self._named_for = found, found_for
        if len(self._keys) > 2 * len(found) + _MOST_NAMES:  # those that were replaced long ago
            kept = list(self._keys.items())[-(len(found) + _MOST_NAMES) :]
            self._keys = {**dict(kept), **{id_: self._keys[id_] for id_ in found}}
        gone = {name for name, part in self.parts.items() if part.get() is None}  # their parameters may live on
        for each in found.values():
            self.names[each.key] = (*gone.intersection(self.names.get(each.key, ())), *each.names)
        self.show(self.shown)
        self.sizes |= {each.key: each.tensor.shape for each in found.values()}
        self.asked |= {each.key for each in found.values() if each.tensor.requires_grad}
        return found

    def named_with(self, tensors: Iterable[Tensor]) -> dict[int, Parameter]:
        """Return `named`, with those of the tensors that lie over a named parameter's memory in the parameter's place.

        As of a `ParameterList` made of a plain tensor, which has a parameter of its own.
        """
        named = self.named()
        strange = [each for each in tensors if id(each) not in named and each not in self._unnamed]
        if not strange:
            return named
        memory = {_memory(each.tensor): each for each in named.values()}
        for tensor in strange:
            parameter = memory.get(_memory(tensor))
            if parameter is not None and tensor.is_leaf and _memory(tensor) is not None:
                self._aliases[id(parameter.tensor)] = tensor
                self._keys[id(tensor)] = parameter.key, TensorWeakRef(tensor)
                self._named_for = []
        return self.named() if not self._named_for else named

    def specific(self, key: str) -> tuple[str, ...]:
        """Return the modules that have a parameter, without those that wholly contain another of them."""
        owners = self.owners.get(key, ())
        if len(owners) < 2:
            return owners
        contents = {name: {each for each, names in self.owners.items() if name in names} for name in owners}
        return tuple(name for name in owners if not any(contents[other] < contents[name] for other in owners))

    def large(self, parameter: Parameter) -> tuple[str, ...]:
        """Return the modules that have a parameter, and their largest parts that do."""
        parts = map(self.parts.__getitem__, parameter.names)
        return tuple(part.name for part in parts if part.around in ("", part.inside))

    def kin(self, key: str) -> set[str]:
        """Return keys of the parameters of the same part: of its module, or of a child of one that is named whole."""
        modules = self.specific(key)
        name = next((each for each in modules if key.startswith(f"{each}.")), "")
        part = name + ".".join(key.removeprefix(name).split(".")[:2])
        return {other for other in self.owners if self.specific(other) == modules and other.startswith(part)}

    def _key(self, tensor: Tensor, qualified: str) -> str:
        """Return a parameter's first name; with a number behind it if another one has had that name."""
        known = self._known(tensor)
        if known is not None:
            return known
        taken = self._taken[qualified]
        # One that is replaced again and again has one name in the end.
        number = f" ({taken + 1})" if taken < _MOST_NAMES else " (later)"
        key = f"{qualified}{number if taken else ''}"
        self._keys[id(tensor)] = key, TensorWeakRef(tensor)
        self._taken[qualified] += 1
        if self._open:
            self.made_late.add(key)
        return key

    def _known(self, tensor: Tensor) -> str | None:
        key, known = self._keys.get(id(tensor), ("", None))
        return key if known is not None and known() is tensor else None

    def changes(self, named: Mapping[int, Parameter], measure: bool = True) -> dict[int, float]:
        """Take a look, and return the norm of the change of each parameter that differs from the latest one.

        Where it need not be measured, 0.
        """
        changes: dict[int, float] = {}
        for id_, each in named.items():
            now, before = each.tensor.detach(), self._weights.get(each.key)
            self._versions[id_] = each.tensor._version
            if before is None or (before.shape, type(before)) != (now.shape, type(now)):
                self._weights[each.key] = now.clone()
            elif (by := change(before, now, measure)) is not None:
                changes[id_] = by
                self._weights[each.key] = now.clone()
        return changes

    def _source(self, parameter: Parameter, before: Tensor, candidates: Mapping[str, Tensor]) -> str | None:
        """Return of which parameter another is now a copy or blend; None if of none, empty if it cannot tell."""
        tensor, key = parameter.tensor, parameter.key
        if tensor.numel() < LEAST_EVIDENCE:
            return ""
        latest = next(iter(self.writes[key].sources), None) if key in self.writes else None
        unclear = False
        for other in [latest, *candidates] if latest in candidates else list(candidates):
            if other is not None and candidates[other] is not tensor and is_blend(before, tensor, candidates[other]):
                if other == latest or not _is_constant(candidates[other]):
                    return other
                unclear = True
        return "" if unclear else None

    def observe(self, named: Mapping[int, Parameter] | None = None) -> None:
        """Note which parameters have changed since the latest look, by no step."""
        named = self.named() if named is None else named
        before = dict(self._weights)
        sources: dict[str, str | None] = {}
        by_hand: set[int] = set()
        candidates: dict[str, Tensor] = {}
        changed = self.changes(named, measure=False)
        if changed:
            candidates = {each.key: each.tensor for each in named.values()}
            candidates |= {self._unnamed[tensor]: tensor for tensor in self._unnamed}
        for id_ in changed:
            sources[named[id_].key] = self._source(named[id_], before[named[id_].key], candidates)
        for id_ in changed:
            key = named[id_].key
            source = sources[key]
            if source == "":  # those that cannot tell by themselves follow the others of their module
                others = (
                    each for other, each in sources.items() if not {*self.owners[other]}.isdisjoint(self.owners[key])
                )
                source = next((each for each in others if each), None)
            writes = self.writes.setdefault(key, Writes(self.event))
            writes.last = self.event
            writes.sources[source] += 1
            if source is None:
                by_hand.add(id_)
        for id_ in by_hand | self._with_most_of_their_module(by_hand, named):
            self.applied_by_hand(named[id_].tensor, self.event)

    def _with_most_of_their_module(self, ids: set[int], named: Mapping[int, Parameter]) -> set[int]:
        """Return all parameters of modules most of which were changed by hand: an update may leave a zero as it is."""
        if not ids:
            return set()
        modules: dict[tuple[str, ...], set[int]] = defaultdict(set)
        for id_, each in named.items():
            modules[self.specific(each.key)].add(id_)
        return {id_ for own in modules.values() if len(own & ids) > len(own) / 2 for id_ in own}


def _changed(before: _Buffers, now: _Buffers) -> list[tuple[str, str]]:
    return [
        (path, name)
        for path, buffers in now.items()
        for name, each in buffers.items()
        if name in before.get(path, ()) and differ(before[path][name], each)
    ]


def _twins(weights: Mapping[str, Tensor]) -> dict[str, set[str]]:
    """Return which of these tensors are equal to which others; those of one repeated number say nothing."""
    alike: dict[object, list[str]] = defaultdict(list)
    for key, each in weights.items():
        if each.layout is torch.strided and each.numel() >= LEAST_EVIDENCE and not _is_constant(each):
            alike[each.shape, each.dtype, norm([each])].append(key)
    return {
        key: twins
        for keys in alike.values()
        for key in keys
        if (twins := {other for other in keys if key != other and not differ(weights[key], weights[other])})
    }


def _is_constant(tensor: Tensor) -> bool:
    """Whether it is one number throughout, to which anything may shrink."""
    return tensor.layout is torch.strided and tensor.numel() > 0 and bool((tensor == tensor.reshape(-1)[0]).all())


def _memory(tensor: Tensor) -> tuple[int, torch.Size] | None:
    """Return address and shape of a tensor's memory; None if it has none of its own."""
    try:
        return (tensor.data_ptr(), tensor.shape) if tensor.numel() else None
    except (RuntimeError, NotImplementedError):
        return None
