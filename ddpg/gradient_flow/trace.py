"""Which module and which line of the user's made each node of a graph, and what lies behind a stop.

A mode of `torch.overrides` sees every operation that the user's code asks for, those that no graph records included.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from ddpg.gradient_flow import graph as graphs
from ddpg.gradient_flow.interception import as_pytorchs_own, compiling, uncompiled, unwatch_calls, watch_calls
from ddpg.gradient_flow.places import Place, caller
from ddpg.gradient_flow.records import Call, Crossing, Operation
from ddpg.gradient_flow.tensors import aside

_LONGEST_LINEAGE = 300


@dataclass
class _Inside:
    """What a call of a module is inside of."""

    module: str = ""
    calls: tuple[Call, ...] = ()


@dataclass
class _Family:
    """A named module and all that it consists of."""

    ids: frozenset[int]
    qualified: dict[int, str] = field(default_factory=dict)


class Tracer(TorchFunctionMode):
    """Follows the operations on the way to a loss."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self._modules = modules
        self.stack: list[_Inside] = []
        self._numbers = itertools.count()
        self._unrecorded = WeakTensorKeyDictionary()
        self._key = f"ddpg.gradient_flow.{id(self)}"

    def open(self) -> None:
        """Follow from here on."""
        self._families: dict[str, _Family] = {}
        self._parameters: dict[int, tuple[str, Tensor]] = {}
        for name, module in self._modules.items():
            inner = {id(each): f"{name}.{path}".rstrip(".") for path, each in module.named_modules()}
            inner = {key: path.replace("._orig_mod", "") for key, path in inner.items()}
            self._families[name] = _Family(frozenset(inner), inner)
        self._first = torch._C._autograd._get_sequence_nr()
        watch_calls(self)
        self.__enter__()  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Follow no more."""
        unwatch_calls(self)
        others = []  # modes that the user has entered since and not left
        while torch._C._len_torch_function_stack() and (mode := torch._C._pop_torch_function_stack()) is not self:
            others.append(mode)
        for mode in reversed(others):
            torch._C._push_on_torch_function_stack(mode)
        self.stack.clear()
        self._unrecorded = WeakTensorKeyDictionary()
        self._modules = {}
        self._families = {}
        self._parameters = {}

    def call(self, module: nn.Module) -> None:
        """A module is called."""
        around = self.stack[-1] if self.stack else _Inside()
        module = module._modules.get("_orig_mod") or module  # what torch.compile wraps
        families = {name: each for name, each in self._families.items() if id(module) in each.ids}
        if not families:
            self.stack.append(_Inside(around.module, around.calls))
            return
        active = {call.name: call for call in around.calls}
        calls = [
            active.get(name) or Call(name, caller(family.ids), next(self._numbers)) for name, family in families.items()
        ]
        calls.sort(key=lambda call: call.number)
        self.stack.append(_Inside(families[calls[0].name].qualified[id(module)], tuple(calls)))

    def leave(self, output: object) -> None:
        """The call ends. What no operation was seen to make, compiled code has made, or a Function of the user's."""
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
        result = function(*args, **(kwargs or {}))
        if not torch.compiler.is_compiling():
            self._follow(function, (args, kwargs), result, torch.is_grad_enabled())
        return result

    @uncompiled
    def _follow(self, function: Callable[..., Any], arguments: object, result: object, grad_mode: bool) -> None:
        if compiling() or _name(function) == "grad":
            return
        made = [each for each in _tensors(result) if not (each.is_leaf and (each.requires_grad or self._named(each)))]
        if made:
            with aside():
                self._note(_name(function), list(_tensors(arguments)), made, grad_mode)

    def crossings(
        self, roots: Sequence[GradientEdge], leaves: Mapping[str, set[int]], graph: graphs.Graph
    ) -> dict[str, tuple[Crossing, ...]]:
        """For each named module, where its output enters the loss; `leaves` are the ids of its parameters."""
        return {name: tuple(self._crossings(roots, name, ids, graph)) for name, ids in leaves.items()}

    def operation(self, node: Node) -> Operation:
        """What made a node of the graph."""
        found = _notes(node).get(self._key)
        if found is None:  # made before the audit was opened
            found = _notes(node)[self._key] = Operation(
                graphs.name_of(node), "", (), Place("<before the audit>", 0, ""), (), (), True
            )
        operation: Operation = found
        return operation

    def _crossings(
        self, roots: Sequence[GradientEdge], name: str, leaves: set[int], graph: graphs.Graph
    ) -> Iterator[Crossing]:
        own = sum(1 << bit for bit, (_, leaf) in enumerate(graph.leaves) if id(leaf) in leaves)
        places: set[Place] = set()
        queue: deque[tuple[Node, tuple[str, ...]]] = deque((edge.node, ()) for edge in roots)
        queue = deque((node, path) for node, path in queue if graph.reach[node] & own)
        seen = {node for node, _ in queue}
        while queue:
            node, path = queue.popleft()
            operation = self.operation(node)
            call = operation.call_of(name)
            label = operation.label if operation.label != operation.name else graphs.name_of(node)
            path = path if path and path[-1] == label else (*path, label)
            # Only what leads to the module's own parameters: it may also have been called with others in their place.
            children = [child for child, _ in node.next_functions if child is not None and graph.reach[child] & own]
            if call is not None or any(_leads_to(child, leaves) for child in children):
                calls = [call] if call is not None else operation.calls  # by itself, or in some other module's code
                place = calls[0].place if calls else operation.place
                if place not in places:
                    places.add(place)
                    yield Crossing(place, path if call is None else self._to_parameter(node, name, path))
                continue
            for child in children:
                if child not in seen and not graphs.is_leaf(child):
                    seen.add(child)
                    queue.append((child, path))

    def _to_parameter(self, node: Node, name: str, path: tuple[str, ...]) -> tuple[str, ...]:
        """The path, ending in the part of the module that its output comes from."""
        queue = deque([node])
        while queue:
            node = queue.popleft()
            operation = self.operation(node)
            if operation.parameters and operation.call_of(name):
                return (*path[:-1], operation.module)
            queue += [child for child, _ in node.next_functions if child is not None and not graphs.is_leaf(child)]
        return path

    def _note(self, name: str, arguments: Sequence[Tensor], made: Sequence[Tensor], grad_mode: bool) -> None:
        inside = self.stack[-1] if self.stack else _Inside()
        inputs = tuple({id(each): each for each in map(self._of, arguments) if each is not None}.values())
        used = [each for each in arguments if each.is_leaf and self._named(each)]
        recorded = any(each.grad_fn is not None for each in made)
        if not (recorded or inputs or used):
            return
        age = 1 + max((each.age for each in inputs), default=0)
        if age > _LONGEST_LINEAGE and not recorded:  # a state carried through ever so many iterations
            inputs, age = (), 0
        operation = Operation(
            name,
            inside.module,
            inside.calls,
            caller(),
            inputs,
            tuple(map(self._named, used)),
            recorded,
            grad_mode,
            bool(used) or any(each.rooted for each in inputs),
            any(each.requires_grad for each in used) or any(each.trainable for each in inputs),
            graphs.read(graphs.edges_of(arguments), ()).bytes() if inputs and not recorded and grad_mode else 0,
            age,
        )
        for each in made:
            if each.grad_fn is None:
                self._unrecorded[each] = operation
            else:
                self._mark(each.grad_fn, operation)

    def _mark(self, node: Node, operation: Operation) -> None:
        """Every node that is new belongs to the operation."""
        stack = [node]
        while stack:
            node = stack.pop()
            new = not graphs.is_leaf(node) and node._sequence_nr() >= self._first  # others are older than the audit
            if new and self._key not in _notes(node):
                _notes(node)[self._key] = operation
                stack += [child for child, _ in node.next_functions if child is not None]

    def _of(self, tensor: Tensor) -> Operation | None:
        node = tensor.grad_fn
        found: Operation | None = self._unrecorded.get(tensor) if node is None else _notes(node).get(self._key)
        return found

    def _named(self, tensor: Tensor) -> str:
        """What the modules call a parameter; empty if it is none of theirs."""
        if id(tensor) not in self._parameters:
            if not isinstance(tensor, nn.Parameter):
                return ""
            names = (
                f"{name}.{inner}".replace("_orig_mod.", "")
                for name, module in self._modules.items()
                for inner, each in module.named_parameters(remove_duplicate=False)
                if each is tensor
            )
            self._parameters[id(tensor)] = next(names, ""), tensor
        return self._parameters[id(tensor)][0]


def _notes(node: Node) -> dict[str, Any]:
    """What PyTorch lets one write on a node."""
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
