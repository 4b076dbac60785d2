"""Find the modules of running code and their names, in the variables of the functions that are running."""

import gc
import inspect
import re
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import FrameType, ModuleType
from typing import Any
from weakref import WeakValueDictionary, ref

from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer
from torch.utils.weak import WeakTensorKeyDictionary

from ddpg.gradient_flow import private
from ddpg.gradient_flow.parts import Part, part_of
from ddpg.gradient_flow.places import Place, own_code, place_of, user_frames
from ddpg.gradient_flow.tensors import is_leaf

_MOST_OBJECTS = 20_000
_MOST_ITEMS = 200
_DEEPEST = 5
_DEEPEST_FOREIGN = 2  # inside objects of libraries
_MOST_PARTS = 64  # of one module, those that are followed by themselves
_MOST_FOUND = 300
_MOST_SEARCHES = 20
_MOST_ALIKE = 4
_ONLY_HELD = " "


@dataclass
class _Found:
    """Module, tensor or optimizer, with the shortest way to it."""

    each: Any
    path: tuple[str, ...]
    where: str
    namespace: int  # what it is a variable or an attribute of
    rank: int
    own: bool  # in the user's own functions

    @property
    def name(self) -> tuple[str, ...]:
        """End of the path, without indices and wrappers."""
        start = next((at for at in range(len(self.path) - 1, 0, -1) if not _says_nothing(self.path[at])), 0)
        return self.path[start + (self.path[start] == "self" and start < len(self.path) - 1) :]


class Discovery:
    """Finds the modules and tensors that code trains and calls.

    Args:
        paths: for each name, the variable of the user's code that has the module; if given, no others are looked for.
    """

    def __init__(self, paths: Mapping[str, str] | None = None) -> None:
        self.paths = dict(paths or {})
        self.left_out = 0
        self.trouble = ""
        self.was_trained: Callable[[str], bool] = lambda name: False
        self._chosen = bool(paths)
        self._known: WeakValueDictionary[int, nn.Module] = (
            WeakValueDictionary()
        )  # no WeakSet: modules may define __eq__
        self._tensors = WeakTensorKeyDictionary()  # those that were looked for; the name of the part that has one
        self._searches = 0
        self._parts: dict[str, Part] = {}

    def knows(self, module: nn.Module) -> bool:
        """Whether a module has been looked for already."""
        return self._known.get(id(module)) is module

    def around(self, module: nn.Module) -> list[Part]:
        """Return what a called module adds: the largest module that it is a part of, with its parts."""
        if self.knows(module) or _under_construction():
            return []
        self._known[id(module)] = module
        roots = [part for part in self._parts.values() if not part.inside]
        if any(module is each for part in roots for _, each in part.modules()):
            return []  # it has replaced another
        if next(iter(part_of("", module).parameters()), None) is None:
            return []
        return self._new([module], True)

    def of(self, tensors: Iterable[Tensor], reached: bool = False) -> list[Part]:
        """Return what tensors add that an optimizer holds or a gradient has `reached`: their modules, or themselves.

        A tensor that only an optimizer holds may be left over from a module that is no more.
        """
        unknown = [
            each for each in tensors if each not in self._tensors or (reached and self._tensors[each] == _ONLY_HELD)
        ]
        if not unknown or _under_construction():
            return []
        for each in unknown:
            self._tensors[each] = "" if reached else _ONLY_HELD
        later = {id(tensor) for part in self._parts.values() for _, tensor in part.parameters()}
        return self._new([each for each in unknown if id(each) not in later], reached)

    def word_for(self, optimizer: Optimizer) -> str:
        """Return the name of an optimizer in the user's code; empty if no variable leads to it."""
        found = _look()
        here = found.get(id(optimizer))
        return self._name(here, found) if here is not None and here.own else ""

    def _new(self, wanted: Collection[nn.Module | Tensor], alone: bool) -> list[Part]:
        found = _look() if self.paths or not self._chosen else {}
        if self._chosen:
            return [
                self._remember(part_of(name, each.each, keep=False), each)
                for name, path in list(self.paths.items())
                for each in found.values()
                if not isinstance(each.each, Optimizer) and ".".join(each.path) == path and self.paths.pop(name)
            ]
        new: list[Part] = []
        for each in wanted:
            top = _containing(each, found)
            if top is None and isinstance(each, nn.Module):  # a slice of one
                top = next((around for inner in each.parameters() if (around := _containing(inner, found))), None)
            if top is None and self._searches < _MOST_SEARCHES:
                self._searches += 1
                somewhere = _unreachable(each)
                if somewhere is not each or alone:
                    top = _Found(somewhere, (_snake(type(somewhere).__name__),), "", 0, len(found), False)
            if top is not None:
                top = _unwrapped(top, found)
                new += self._add(top.each, self._name(top, found), top, found)
        return new + self._copies(new, found)

    def _copies(self, parts: Iterable[Part], found: Mapping[int, _Found]) -> list[Part]:
        """Add modules with parameters of the same shapes (target networks, averages) before they are called."""
        shapes = {_shapes(part.module) for part in parts if part.module is not None}
        alike = (
            each
            for each in found.values()
            if isinstance(each.each, nn.Module) and not self.knows(each.each) and _shapes(each.each) in shapes
        )
        return [part for each in list(alike) for part in self._add(each.each, self._name(each, found), each, found)]

    def _add(self, each: nn.Module | Tensor, name: str, top: _Found, found: Mapping[int, _Found]) -> list[Part]:
        """Add a module with its parts, or those of its parts that are not looked at yet."""
        if isinstance(each, Tensor):
            if self._has(each):
                return []
            self._tensors[each] = name = self._free(name)
            return [self._remember(part_of(name, each, keep=False), top)]
        while private.COMPILED in each._modules:  # what torch.compile wraps
            each = each._modules[private.COMPILED] or each
        own = part_of(name, each, keep=False)
        tensors = [tensor for _, tensor in own.parameters()]
        seen = sum(map(self._has, tensors))
        for _, module in own.modules():
            self._known[id(module)] = module
        if seen:  # what else it has, by the names of its parts
            children = _children(each) if seen < len(tensors) else ()
            return [part for path, child in children for part in self._add(child, f"{name}.{path}", top, found)]
        if not tensors or len(self._parts) >= _MOST_FOUND:
            self.left_out += bool(tensors)
            return []
        own.name = self._free(name)
        return [self._remember(own, top), *self._nested(own, top, found)]

    def _nested(self, root: Part, top: _Found, found: Mapping[int, _Found]) -> list[Part]:
        """Add the parts of a module, the largest first, at most `_MOST_PARTS`.

        A part that had a name of its own before the module was made of it keeps that.
        """
        nested: list[Part] = []
        queue: deque[tuple[str, tuple[str, ...], nn.Module | Tensor]] = deque()
        if (module := root.module) is not None:
            queue.append((root.name, (), module))
        while queue:
            around, way, each = queue.popleft()
            children = list(_children(each)) if isinstance(each, nn.Module) else []
            if len(nested) + len(children) > _MOST_PARTS:
                break
            for path, child in children:
                own = found.get(id(child))
                earlier = own is not None and _made_before(own, top)
                name = self._free(self._name(own, found)) if own is not None and earlier else f"{around}.{path}"
                inner = part_of(name, child, keep=False)
                inner.inside, inner.around = root.name, around
                if any(True for _ in inner.parameters()):
                    nested.append(self._remember(inner, top))
                    queue.append((inner.name, (*way, path), child))
                    if module is not None and _at(ref(module), (*way, path)) is child:  # and whatever replaces it
                        inner.get = partial(_at, ref(module), (*way, path))
        for _, tensor in root.parameters():
            self._tensors[tensor] = root.name
        return nested

    def _has(self, tensor: Tensor) -> bool:
        """Whether a part that still exists has the tensor."""
        name = self._tensors.get(tensor)
        return name in self._parts and self._parts[name].get() is not None

    def _remember(self, part: Part, top: _Found) -> Part:
        part.where, part.rank = top.where, top.rank
        self._parts[part.name] = part
        return part

    def _name(self, top: _Found, found: Mapping[int, _Found]) -> str:
        """Return the last word of a path, with more before it if another path ends in the same."""
        length = len(top.name)
        others = [each.path for each in found.values() if each.each is not top.each and each.own]
        while length < len(top.path) and any(path[-length:] == top.path[-length:] for path in others):
            length += 1
        path = top.path[-length:]
        return _snake(type(top.each).__name__) if path == ("self",) else ".".join(path)

    def _free(self, name: str) -> str:
        """Return the name, or one with a number if a part that still exists or was trained has it.

        A module that is made anew again and again, as for each task, keeps the last number.
        """
        number, free = 1, name
        while free in self._parts and (
            self._parts[free].get() is not None or (number < _MOST_ALIKE and self.was_trained(free))
        ):
            number += 1
            free = f"{name} ({number})"
        for each in [each for each, part in self._parts.items() if free in (each, part.inside)]:
            del self._parts[each]
        return free


def _says_nothing(word: str) -> bool:
    return word.isdigit() or word.strip("_") == "module"


def _look() -> dict[int, _Found]:
    """Return by id the modules and tensors that the variables of running functions lead to.

    The user's own functions come first, the outermost first; their variables in the order in which they were made.
    """
    frames = list(user_frames())
    frames.reverse()
    found: dict[int, _Found] = {}
    seen: set[int] = set()
    for frame in sorted(frames, key=lambda each: not own_code(each.f_code.co_filename)):
        place = place_of(frame)
        if own_code(place.file):
            _reach(frame.f_globals, id(frame.f_globals), _of_module(frame), True, found, seen)
        if frame.f_locals is not frame.f_globals:
            where = f"variable of {place.function}, {_line(frame.f_code)}"
            _reach(local_variables(frame), id(frame), where, own_code(place.file), found, seen)
    return found


def _reach(
    variables: Mapping[str, Any], namespace: int, where: str, own: bool, found: dict[int, _Found], seen: set[int]
) -> None:
    queue: deque[tuple[tuple[str, ...], Any, str, int, int]] = deque(
        ((name,), each, where, namespace, 0) for name, each in list(variables.items()) if not name.startswith("__")
    )
    while queue and len(seen) < _MOST_OBJECTS:
        path, each, where, namespace, foreign = queue.popleft()
        kind = type(each)
        if id(each) in seen or kind in _PLAIN:
            continue
        if issubclass(kind, (nn.Module, Optimizer)) or (
            issubclass(kind, Tensor) and each.requires_grad and is_leaf(each)
        ):
            seen.add(id(each))
            found[id(each)] = _Found(each, path, where, namespace, len(found), own)
            continue
        if len(path) > _DEEPEST or issubclass(kind, (type, Tensor)):
            continue
        seen.add(id(each))
        if issubclass(kind, ModuleType):
            if len(path) == 1 and own_code(getattr(each, "__file__", None) or "<frozen "):
                queue.extend(((*path, name), it, _of_object(each), id(each), 0) for name, it in _items(each))
        elif issubclass(kind, _HOLDERS):  # before the variables that came later, such as those of loops over it
            inner = [((*path, name), it, where, namespace, foreign) for name, it in _items(each)]
            queue.extendleft(reversed([item for item in inner if not isinstance(item[1], Tensor)]))
            queue.extend(item for item in inner if isinstance(item[1], Tensor))  # such lists are for optimizers
        elif _of_own_code(kind):
            queue.extend(((*path, name), it, _of_object(each), id(each), foreign) for name, it in _items(each))
        elif foreign < _DEEPEST_FOREIGN:
            public = ((name, it) for name, it in _items(each) if not name.startswith("_"))
            queue.extend(((*path, name), it, _of_object(each), id(each), foreign + 1) for name, it in public)


_PLAIN = {int, float, str, bytes, bool, type(None), complex}
_HOLDERS = (dict, list, tuple)


def _of_own_code(kind: type) -> bool:
    return own_code(getattr(sys.modules.get(kind.__module__), "__file__", None) or "")


def _items(each: Any) -> Iterator[tuple[str, Any]]:
    """Yield the attributes or items of an object, without running any code of its own."""
    if issubclass(type(each), dict):
        if len(each) <= _MOST_ITEMS:
            yield from ((str(key), value) for key, value in list(dict.items(each)) if isinstance(key, (str, int)))
    elif issubclass(type(each), (list, tuple)):
        if len(each) <= _MOST_ITEMS:
            names = getattr(type(each), "_fields", None) or map(str, range(len(each)))
            yield from zip(names, list(each), strict=False)
    else:
        try:
            attributes = object.__getattribute__(each, "__dict__")
        except AttributeError:
            return
        # Those that are meant for others first.
        for name in sorted(map(str, attributes), key=lambda name: name.startswith("_")):
            if not name.startswith("__") and name in attributes:
                yield name, attributes[name]


def _containing(each: nn.Module | Tensor, found: Mapping[int, _Found]) -> _Found | None:
    """Return the largest found module that has this as a part; itself, if none has."""
    around = [one for one in found.values() if isinstance(one.each, nn.Module) and _has(one.each, each)]
    contents = [{id(inner) for inner in one.each.modules()} for one in around if isinstance(one.each, nn.Module)]
    largest = (one for one, own in zip(around, contents, strict=True) if not any(own < other for other in contents))
    return next(largest, found.get(id(each)))


def _unwrapped(top: _Found, found: Mapping[int, _Found]) -> _Found:
    """Return the module with the same parameters that this one wraps; itself, if there is none."""
    if isinstance(top.each, nn.Module):
        inner, own = {id(each) for each in top.each.modules()}, set(map(id, top.each.parameters()))
        for each in found.values():
            module = each.each if _made_before(each, top) and id(each.each) in inner else None
            if isinstance(module, nn.Module) and own == set(map(id, module.parameters())):
                return each
    return top


def _made_before(one: _Found, other: _Found) -> bool:
    return one.rank < other.rank and one.namespace == other.namespace


def _shapes(module: nn.Module) -> tuple[object, ...]:
    return tuple(None if is_lazy(each) else each.shape for each in module.parameters())


def _has(module: nn.Module, wanted: nn.Module | Tensor) -> bool:
    part = part_of("", module)
    if isinstance(wanted, Tensor):
        return any(each is wanted for _, each in part.parameters())
    return any(each is wanted for _, each in part.modules())


def _unreachable(each: nn.Module | Tensor) -> nn.Module | Tensor:
    """Return the largest module that has this as a part, where no variable leads to it; itself, if none has."""
    kinds = {nn.Module}.union(subclasses(nn.Module))
    everything: list[Any] = gc.get_objects()
    modules: list[Any] = [one for one in everything if type(one) in kinds and "_modules" in vars(one)]
    around: Any = each
    while around is not None:
        each = around
        around = next((one for one in modules if _is_child(each, one)), None)
    return each


def _is_child(each: nn.Module | Tensor, module: nn.Module) -> bool:
    return any(each is child for own in (module._modules, module._parameters) for child in own.values())


def _at(root: "ref[nn.Module]", path: tuple[str, ...]) -> nn.Module | Tensor | None:
    """Return the submodule or parameter at a path."""
    each: Any = root()
    for name in path:
        each = each._modules.get(name, each._parameters.get(name)) if isinstance(each, nn.Module) else None
    found: nn.Module | Tensor | None = each
    return found


def _children(module: nn.Module) -> Iterator[tuple[str, nn.Module | Tensor]]:
    """Yield a module's children and own parameters, also those that it does not register."""
    yield from ((name, each) for name, each in module._modules.items() if each is not None)
    yield from ((name, each) for name, each in module._parameters.items() if each is not None)
    part = part_of("", module, keep=False)
    yield from ((path, each) for path, get in part.unregistered.items() if (each := get()) is not None)


def _under_construction() -> bool:
    """Whether a module is being constructed, so that what it becomes a part of shows only later."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "__init__" and isinstance(local_variables(frame).get("self"), nn.Module):
            return True
        frame = frame.f_back
    return False


def local_variables(frame: FrameType) -> dict[str, Any]:
    """Return the variables of a running function, and keep none of them alive."""
    if sys.version_info >= (3, 13):
        return dict(frame.f_locals)
    variables = frame.f_locals
    copied = dict(variables)
    # Before Python 3.13 the frame keeps what it has handed out; it need not, unless the user's code has it too.
    if frame.f_code.co_flags & inspect.CO_OPTIMIZED and sys.getrefcount(variables) <= 3:
        variables.clear()
    return copied


def subclasses(kind: type) -> Iterator[type]:
    """Yield all subclasses of a class."""
    each: type
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


def _of_module(frame: FrameType) -> str:
    return f"variable of {Place(place_of(frame).file, 0, '')}".removesuffix(":0")


def _of_object(each: object) -> str:
    kind = type(each)
    if issubclass(kind, ModuleType):
        return f"variable of {getattr(each, '__name__', 'a module')}"
    code = getattr(inspect.getattr_static(kind, "__init__", None), "__code__", None)
    name = kind.__qualname__ if kind.__module__ == "__main__" else f"{kind.__module__}.{kind.__qualname__}"
    return f"attribute of {name}" + (f", {_line(code)}" if code is not None and own_code(code.co_filename) else "")


def _line(code: Any) -> str:
    return str(Place(code.co_filename, code.co_firstlineno, ""))


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower().strip("_")
