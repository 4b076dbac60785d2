"""Follow the forward pass: which module and line made each node of a graph, and what lies behind a stop.

A mode of `torch.overrides` sees every operation of the user's code, those that no graph records included.
"""

import itertools
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from ddpg.gradient_flow import graph as graphs
from ddpg.gradient_flow import private
from ddpg.gradient_flow.diagram import GRADIENT, Call, Operation
from ddpg.gradient_flow.interception import as_pytorchs_own, compiling, uncompiled, unwatch_calls, watch_calls
from ddpg.gradient_flow.parts import Part, unwrapped
from ddpg.gradient_flow.places import Place, Site, called_by_pytorch
from ddpg.gradient_flow.record import Record
from ddpg.gradient_flow.records import Crossing
from ddpg.gradient_flow.steps import OpenSteps
from ddpg.gradient_flow.tensors import aside, is_leaf

_LONGEST_LINEAGE = 300
_MOST_WAYS = 4
_OLD = 64
_ATTRIBUTES = {"grad", "data", "T", "mT", "H", "mH", "real", "imag"}  # those that give tensors
_BEFORE = Place("<before the audit>", 0, "")


class _Inside(NamedTuple):
    """What the code that runs is inside of: the innermost named module, and calls of named modules."""

    module: str = ""
    calls: tuple[Call, ...] = ()


class Tracer(TorchFunctionMode):
    """Follows the operations on the way to a loss."""

    def __init__(self, record: Record, steps: OpenSteps) -> None:
        super().__init__()
        self._record = record
        self._steps = steps
        self._lines = record.lines
        self.stack: list[_Inside] = []
        self._numbers = itertools.count()
        self._unrecorded = WeakTensorKeyDictionary()
        self._key = f"ddpg.gradient_flow.{id(self)}"

    def open(self) -> None:
        """Begin to follow."""
        self._families: dict[str, dict[int, str]] = {}  # of a named module, what it consists of: names by id
        self._members: dict[int, list[str]] = defaultdict(list)  # the families of a module, by its id
        self._parameters: dict[int, tuple[str, Tensor]] = {}
        self._around: dict[int, nn.Module] = {}
        self.add(self._record.weights.parts.values())
        private.load_compiler()
        self._first = private.sequence_number()
        watch_calls(self)
        self.__enter__()  # type: ignore[no-untyped-call]

    def add(self, parts: Iterable[Part]) -> None:
        """Follow these modules too."""
        for part in parts:
            family = self._families[part.name] = dict[int, str]()
            for path, each in part.modules():
                qualified = f"{part.name}.{path}".rstrip(".").replace(f".{private.COMPILED}", "")
                family.setdefault(id(each), qualified)
        self._members.clear()
        for name, family in self._families.items():
            for key in family:
                self._members[key].append(name)
        self._parameters.clear()

    def close(self) -> None:
        """Stop following, and leave the user's modes as they are."""
        unwatch_calls(self)
        others = []  # modes that the user has entered since and not left
        while private.function_modes() and (mode := private.pop_function_mode()) is not self:
            others.append(mode)
        for mode in reversed(others):
            private.push_function_mode(mode)
        self.stack.clear()
        self._unrecorded = WeakTensorKeyDictionary()
        for kept in (self._families, self._members, self._around, self._parameters):
            kept.clear()

    @property
    def _inside(self) -> _Inside:
        return self.stack[-1] if self.stack else _Inside()

    def call(self, module: nn.Module) -> None:
        """Enter a module that is called."""
        around = self._inside
        module = unwrapped(module)
        names = self._members.get(id(module), ())
        if not names:
            self._look_inside(module)
            self.stack.append(around)
            return
        active = {call.name: call for call in around.calls}
        calls = [
            active.get(name) or Call(name, self._lines.site(self._families[name]), next(self._numbers))
            for name in names
        ]
        for call in calls:
            if module.training or call.name not in self._record.ran:
                self._record.ran[call.name] = call.site
        calls.sort(key=lambda call: call.number)
        self.stack.append(_Inside(self._families[calls[0].name][id(module)], tuple(calls)))

    def _look_inside(self, module: nn.Module) -> None:
        """Note which audited modules this one contains."""
        if id(module) not in self._around:
            self._around[id(module)] = module
            inner = {id(each) for each in module.modules()}
            for name, part in self._record.weights.parts.items():
                if id(part.module) in inner:
                    self._record.parents[name].add(id(module))

    def leave(self, output: object) -> None:
        """End a call. What no operation was seen to make, compiled code has made, or a Function of the user's."""
        with aside():
            tensors = [each for each in _tensors(output) if each.grad_fn is not None]
            if any(self._of(each) is None for each in tensors):
                self._note("compiled", (), tensors, True)

    @as_pytorchs_own
    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = getattr(function, "__name__", "")
        attribute = function.__self__.__name__ if name in ("__get__", "__set__") else ""  # type: ignore[attr-defined]
        if torch.compiler.is_compiling() or (attribute and attribute not in _ATTRIBUTES):
            return function(*args, **(kwargs or {}))
        in_place = name.endswith("_") and (not name.endswith("__") or name == "__setitem__" or name[:3] == "__i")
        touched = self._touched(name, args) if in_place or attribute == "grad" else []
        result = function(*args, **(kwargs or {}))
        if touched:
            self._look_at(name, touched)
        if attribute != "grad" and (in_place or isinstance(result, (Tensor, tuple, list))):
            self._follow(function, (args, kwargs), result, torch.is_grad_enabled())
        return result

    @uncompiled
    def _touched(self, name: str, args: Sequence[Any]) -> list[Tensor]:
        """Return the leaves whose gradient a line of the user's is about to change by this operation; note one read."""
        if compiling() or not args or not isinstance(args[0], Tensor) or called_by_pytorch():
            return []
        with aside():
            if name == "__set__":
                if args[0].grad is not None:  # by another tensor, perhaps the same with some rows of zeros
                    self._steps.origins.edited(args[0].grad, self._lines.site())
                return [args[0]]
            if name != "__get__":
                return self._steps.origins.edited(args[0], self._lines.site())
            named = self._named(args[0])
            if named:
                self._record.reads[self._lines.site()].add(named)
            return []

    @uncompiled
    def _look_at(self, name: str, touched: Sequence[Tensor]) -> None:
        with aside():
            for tensor in touched:
                self._steps.origins.look(tensor, "dropped" if name == "__set__" else "cleared", self._lines.site())

    @uncompiled
    def _follow(
        self, function: Callable[..., Any], arguments: tuple[Sequence[Any], Any], result: object, grad_mode: bool
    ) -> None:
        if compiling() or _name(function) == "grad" or (self._steps.under_way and not grad_mode):
            return  # what an optimizer computes is its own affair
        with aside():
            given, results = list(_tensors(arguments)), list(_tensors(result))
            if _name(function) == "__setitem__":  # which returns nothing, and changes its first argument
                results = given[:1]
            made = [each for each in results if not (is_leaf(each) and (each.requires_grad or self._named(each)))]
            if made:
                self._steps.origins.derived(made, given)
                numbers = any(isinstance(each, (int, float)) and each != 0 for each in arguments[0])
                self._note(_name(function), given, made, grad_mode, numbers)

    def handed_out(
        self, gradients: Sequence[Tensor | None], keys: tuple[str, ...], roots: Sequence[GradientEdge]
    ) -> None:
        """Note gradients that `torch.autograd.grad` returned, of the parameters with these keys among others."""
        made = [each for each in gradients if each is not None and each.grad_fn is None]
        if made:
            inputs = tuple(dict.fromkeys(self.operation(edge.node) for edge in roots))
            age = 1 + max((each.age for each in inputs), default=0)
            operation = Operation(GRADIENT, *self._inside, self._lines.site(), inputs, keys, rooted=True, age=age)
            for each in made:
                self._unrecorded[each] = operation

    def shape_of(self, order: Sequence[Node]) -> tuple[object, ...]:
        """Return what tells one graph from another: the lines that made it, and how much lies behind its stops."""
        operations = (self.operation(node) for node in order if not graphs.is_leaf(node))
        return tuple((each.name, each.module, each.site, min(each.age, _OLD)) for each in operations)

    def crossings(
        self, roots: Sequence[GradientEdge], leaves: Mapping[str, set[int]], graph: graphs.Graph, line: Place
    ) -> dict[str, tuple[Crossing, ...]]:
        """Return for each named module how its output enters the loss; `leaves` are its parameters' ids."""
        return {
            name: tuple(dict.fromkeys(self._crossings([edge.node for edge in roots], name, ids, graph, line)))
            for name, ids in leaves.items()
        }

    def operation(self, node: Node) -> Operation:
        """Return what made a node of the graph."""
        found = _notes(node).get(self._key)
        if found is None:  # made before the audit was opened
            site = Site(_BEFORE, _BEFORE, self._lines)
            found = _notes(node)[self._key] = Operation(graphs.name_of(node), "", (), site, recorded=True)
        operation: Operation = found
        return operation

    def _crossings(
        self, roots: Sequence[Node], name: str, leaves: set[int], graph: graphs.Graph, line: Place
    ) -> Iterator[Crossing]:
        own = sum(1 << bit for bit, (_, leaf) in enumerate(graph.leaves) if id(leaf) in leaves)
        ways: dict[Node, dict[tuple[str, ...], None]] = defaultdict(dict)
        for node in roots:
            ways[node][()] = None
            if graphs.is_leaf(node) and graph.reach[node] & own:
                yield Crossing(Site(line, line, self._lines), ())  # the parameter itself is sent backward
        for node in graph.nodes:  # each before those that it feeds its gradient to
            paths = list(ways.pop(node, ()))[:_MOST_WAYS] if graph.reach[node] & own else []
            if not paths:
                continue
            operation = self.operation(node)
            call = operation.call_of(name)
            label = operation.label if operation.label != operation.name else graphs.name_of(node)
            paths = [path if path and path[-1] == label else (*path, label) for path in paths]
            # Only what leads to the module's own parameters: it may also have been called with others in their place.
            children = [child for child, _ in node.next_functions if child is not None and graph.reach[child] & own]
            if call is not None or any(_leads_to(child, leaves) for child in children):
                calls = [call] if call is not None else operation.calls  # by itself, or in some other module's code
                site = calls[0].site if calls else operation.site
                for path in paths:
                    yield Crossing(site, path if call is None else self._to_parameter(node, name, path))
                continue
            for child in children:
                ways[child] |= dict.fromkeys(paths)

    def _to_parameter(self, node: Node, name: str, path: tuple[str, ...]) -> tuple[str, ...]:
        """Return the path, ending in the part of the module that its output comes from."""
        queue = deque([node])
        while queue:
            node = queue.popleft()
            operation = self.operation(node)
            if operation.parameters and operation.call_of(name):
                return (*path[:-1], operation.module)
            queue += [child for child, _ in node.next_functions if child is not None and not graphs.is_leaf(child)]
        return path

    def _note(
        self, name: str, arguments: Sequence[Tensor], made: Sequence[Tensor], grad_mode: bool, number: bool = False
    ) -> None:
        inputs = tuple({id(each): each for each in map(self._of, arguments) if each is not None}.values())
        used = [each for each in arguments if is_leaf(each) and self._named(each)]
        own = {id(each) for each in used}
        recorded = any(each.grad_fn is not None for each in made)
        if not (recorded or inputs or used):
            return
        age = 1 + max((each.age for each in inputs), default=0)
        if age > _LONGEST_LINEAGE and not recorded:  # a state carried through ever so many iterations
            inputs, age = (), 0
        detached = inputs and not recorded and grad_mode
        operation = Operation(
            name,
            *self._inside,
            self._lines.site(),
            inputs,
            tuple(map(self._named, used)),
            recorded,
            grad_mode,
            rooted=bool(used) or any(each.rooted for each in inputs),
            trainable=any(each.requires_grad for each in used) or any(each.trainable for each in inputs),
            bytes=graphs.read(graphs.behind(graphs.edges_of(arguments))).bytes() if detached else 0,
            age=age,
            scalar=made[0].layout is torch.strided and not made[0].is_nested and made[0].numel() == 1,
            data=any(each.is_floating_point() and self._of(each) is None for each in arguments if id(each) not in own),
            number=number,
        )
        for each in made:
            if each.grad_fn is None:
                self._unrecorded[each] = operation
            else:
                self._mark(each.grad_fn, operation)

    def _mark(self, node: Node, operation: Operation) -> None:
        """Write the operation on every node that is new."""
        stack = [node]
        while stack:
            node = stack.pop()
            new = not graphs.is_leaf(node) and private.is_new(node, self._first)  # others are older than the audit
            if new and self._key not in _notes(node):
                _notes(node)[self._key] = operation
                stack += [child for child, _ in node.next_functions if child is not None]

    def _of(self, tensor: Tensor) -> Operation | None:
        node = tensor.grad_fn
        found: Operation | None = self._unrecorded.get(tensor) if node is None else _notes(node).get(self._key)
        return found

    def _named(self, tensor: Tensor) -> str:
        """Return a parameter's key; empty if no audited module has it."""
        if id(tensor) not in self._parameters:
            if not tensor.is_leaf or not (isinstance(tensor, nn.Parameter) or tensor.requires_grad):
                return ""
            named = self._record.weights.named()
            if id(tensor) not in named and not isinstance(tensor, nn.Parameter):
                return ""
            self._parameters[id(tensor)] = (named[id(tensor)].key if id(tensor) in named else ""), tensor
        return self._parameters[id(tensor)][0]


def _notes(node: Node) -> dict[str, Any]:
    """Return the dict that PyTorch keeps for notes on a node."""
    notes: dict[str, Any] = node.metadata  # type: ignore[assignment]
    return notes


def _leads_to(node: Node, leaves: set[int]) -> bool:
    """Whether a node is one of the leaves, or a view of it."""
    while not graphs.is_leaf(node):
        children = [child for child, _ in node.next_functions if child is not None]
        if len(children) != 1 or graphs.name_of(node) not in graphs.VIEWS:
            return False
        node = children[0]
    return id(node.variable) in leaves  # type: ignore[attr-defined]


def _name(function: Callable[..., Any]) -> str:
    name: str = getattr(function, "__name__", type(function).__name__)
    return function.__self__.__name__ if name == "__get__" else name  # type: ignore[attr-defined]


def _tensors(value: object) -> Iterable[Tensor]:
    """The tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from _tensors(each)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
