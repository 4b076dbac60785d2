"""Reads what the autograd graph of a loss leads to, holds and costs, before the backward pass consumes it."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge

from ddpg.gradient_flow import private

# Their gradient is another view of the incoming one: no work.
VIEWS = ("T", "Transpose", "Permute", "View", "UnsafeView", "Expand", "Squeeze", "Unsqueeze", "Alias", "ReshapeAlias")
_ACCUMULATE = "torch::autograd::AccumulateGrad"


@dataclass
class Graph:
    """One graph, as seen from its outputs.

    Sets of leaves are bit masks: bit i stands for `leaves[i]`, and the bits above for the intermediate tensors that
    `inputs=` asks for.

    Attributes:
        nodes: inner nodes, each before those that it feeds its gradient to.
        leaves: the leaf tensors, with the nodes that accumulate into them.
        bytes_by_reach: bytes of saved tensors, parameters not counted, by what their node leads to.
        work_by_reach: floating-point operations of the gradients that this pass computes, likewise; an estimate.
        beside: for each leaf, what the operations that use it lead to: itself and all that feeds them.
        away: for each leaf, through how many other owners' operations at most the gradient comes to it.
        reach: for each node, the leaves that it leads to.
        wanted: of the leaves, those that this pass computes a gradient for.
    """

    nodes: list[Node] = field(default_factory=list)
    leaves: list[tuple[Node, Tensor]] = field(default_factory=list)
    bytes_by_reach: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    work_by_reach: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    beside: list[int] = field(default_factory=list)
    away: list[int] = field(default_factory=list)
    reach: dict[Node, int] = field(default_factory=dict)
    wanted: int = 0

    def bytes(self) -> int:
        """Return the bytes of all tensors that the graph holds, parameters not counted."""
        return sum(self.bytes_by_reach.values())


def name_of(node: Node) -> str:
    """Return a node's operation: "MseLoss" for `MseLossBackward0`."""
    return node.name().rsplit("::", 1)[-1].rstrip("0123456789").removesuffix("Backward")


def edges_of(tensors: Iterable[Tensor | GradientEdge]) -> list[GradientEdge]:
    """Return where the gradients of these tensors enter the graph."""
    return [
        each if isinstance(each, GradientEdge) else get_gradient_edge(each)
        for each in tensors
        if isinstance(each, GradientEdge) or each.requires_grad
    ]


def read(
    order: Sequence[Node],
    inputs: Sequence[GradientEdge] = (),
    owner: Callable[[Tensor], object] = id,
    parameters: Iterable[Tensor] = (),
) -> Graph:
    """Read the graph of nodes in the order of `behind`; where there are `inputs`, only what leads to them is computed.

    `owner` says which module a leaf belongs to. `parameters`, like all leaves, do not count as held by the graph, also
    where they were frozen and are no leaves.
    """
    graph = Graph()
    graph.nodes = [node for node in reversed(order) if not is_leaf(node)]
    graph.leaves = [(node, node.variable) for node in order if is_leaf(node)]  # type: ignore[attr-defined]
    own = {node: 1 << bit for bit, (node, _) in enumerate(graph.leaves)}
    for edge in inputs:
        own.setdefault(edge.node, 1 << len(own))
    graph.wanted = sum({own[edge.node] for edge in inputs}) or (1 << len(own)) - 1

    graph.beside = [0] * len(graph.leaves)
    reach = graph.reach
    views = {node: bit for bit, (node, _) in enumerate(graph.leaves)}
    known = {_storage(each) for each in (*parameters, *(variable for _, variable in graph.leaves))}
    counted: set[tuple[int, int]] = set()
    for node in order:
        reach[node] = own.get(node, 0)
        children = [(child, number) for child, number in node.next_functions]
        for child, _ in children:
            reach[node] |= reach[child] if child is not None else 0
        for child, _ in children:
            if child in views and name_of(node) in VIEWS:
                views[node] = views[child]
            elif child in views:
                graph.beside[views[child]] |= reach[node]
        for (child, _), work in zip(children, _work(node, children), strict=True):
            if child is not None and reach[child] & graph.wanted:
                graph.work_by_reach[reach[child] & graph.wanted] += work
        if not is_leaf(node):
            graph.bytes_by_reach[reach[node]] += _bytes_held(node, known, counted)
    graph.away = _away(order, views, [owner(leaf) for _, leaf in graph.leaves])
    return graph


def _away(order: Sequence[Node], views: Mapping[Node, int], owners: Sequence[object]) -> list[int]:
    passed: dict[Node, tuple[int, object]] = {}  # owners passed on the way to a node, and the latest
    away = [0] * len(owners)
    for node in reversed(order):
        count, latest = passed.get(node, (0, None))
        children = [child for child, _ in node.next_functions if child is not None]
        used = {owners[views[child]] for child in children if child in views} - {latest}
        if node not in views and used:
            count, latest = count + 1, used.pop()
        for child in children:
            if child in views:
                away[views[child]] = max(away[views[child]], count - 1)
            else:
                passed[child] = max(passed.get(child, (0, None)), (count, latest), key=lambda each: each[0])
    return away


def is_leaf(node: Node) -> bool:
    """Whether a node accumulates into a leaf's `.grad`."""
    return node.name() == _ACCUMULATE


def shape_of(order: Sequence[Node]) -> tuple[object, ...]:
    """Return what tells one graph from another: its operations, and which lead to which."""
    number = {node: position for position, node in enumerate(order)}
    return tuple(
        (node.name(), *(number[child] if child is not None else -1 for child, _ in node.next_functions))
        for node in order
    )


def behind(roots: Iterable[GradientEdge]) -> list[Node]:
    """Return every node behind the roots, the roots included, each after those that it leads to."""
    done: dict[Node, bool] = {}
    order: list[Node] = []
    stack = [edge.node for edge in roots]
    while stack:
        node = stack[-1]
        if node not in done:
            done[node] = False
            stack += [child for child, _ in node.next_functions if child is not None and child not in done]
        else:
            stack.pop()
            if not done[node]:
                done[node] = True
                order.append(node)
    return order


def leaves_behind(outputs: Iterable[Tensor | GradientEdge]) -> list[Tensor]:
    """Return the parameters that graphs lead to."""
    leaves = (node.variable for node in behind(edges_of(outputs)) if is_leaf(node))  # type: ignore[attr-defined]
    return [each for each in leaves if isinstance(each, nn.Parameter)]


def _bytes_held(node: Node, parameters: set[int], counted: set[tuple[int, int]]) -> int:
    """Return bytes of tensors that a node has saved and none before it; what hooks have packed stays packed."""
    total = 0
    for name in private.saved_names(type(node)):
        try:
            for tensor in private.saved(node, name):
                if _storage(tensor) not in parameters:
                    key = tensor.data_ptr(), tensor.nbytes
                    total += tensor.nbytes if key not in counted else 0
                    counted.add(key)
        except RuntimeError:  # freed by an earlier pass, or a tensor without memory of its own
            continue
    return total


def _storage(tensor: Tensor) -> int:
    """Return the address of a tensor's memory; 0 if it has none."""
    try:
        return tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):  # sparse, or without memory of its own
        return 0


def _work(node: Node, children: Sequence[tuple[Node | None, int]]) -> list[float]:
    """Estimate the floating-point operations that each of a node's outgoing gradients takes.

    Matrix products and convolutions by their sizes; anything else as one operation an element.
    """
    name = name_of(node)
    out = math.prod(_shape(node, 0))
    sizes = [_shape(child, number) for child, number in children]
    if name in VIEWS:
        return [0.0] * len(sizes)
    if name in ("Addmm", "Mm", "Bmm", "Baddbmm", "Mv", "Addmv"):
        # n×k by k×m into n×m: each factor's gradient takes 2·n·m·k operations.
        first, second = sizes[-2:]
        inner = second[-2:][0] if second else first[-1] if first else 1
        return [float(out)] * (len(sizes) - 2) + [2.0 * out * inner] * 2
    if name == "Convolution" and len(sizes) == 3 and sizes[1]:
        product = 2.0 * out * math.prod(sizes[1][1:])
        return [product, product, float(out)]
    return [float(max(out, math.prod(size))) for size in sizes]


def _shape(node: Node | None, number: int) -> tuple[int, ...]:
    """Return the shape of the gradient that enters a node."""
    if node is None:
        return ()
    if is_leaf(node):
        return tuple(node.variable.shape) if not node.variable.is_nested else ()  # type: ignore[attr-defined]
    return private.shape(node, number)
