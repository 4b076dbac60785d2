"""One backward pass under way."""

import math
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node
from torch.utils.weak import TensorWeakRef

from ddpg.gradient_flow import graph as graphs
from ddpg.gradient_flow.diagram import Diagram
from ddpg.gradient_flow.places import Place, call_stack, innermost
from ddpg.gradient_flow.record import Record
from ddpg.gradient_flow.records import Backward, Contribution, Lost, Structure
from ddpg.gradient_flow.steps import OpenSteps
from ddpg.gradient_flow.tensors import aside, norm
from ddpg.gradient_flow.trace import Tracer


class Pass:
    """Records one backward pass, from the graph that it finds to the gradients that it leaves."""

    def __init__(
        self,
        record: Record,
        steps: OpenSteps,
        tracer: Tracer | None,
        outputs: Sequence[Tensor | GradientEdge],
        inputs: Sequence[Tensor | GradientEdge],
        accumulate: bool,
    ) -> None:
        steps.pass_begins()
        self._record, self._steps, self._tracer = record, steps, tracer
        self._accumulate = accumulate
        self._inputs = inputs
        self._hooks = ExitStack()
        self._arrivals: list[Tensor] = []
        self._nodes: list[Node] = []  # kept alive: nobody else may hold those of a graph without operations
        roots = graphs.edges_of(outputs)
        self._roots = roots if not accumulate else []
        order = graphs.behind(roots)
        self._named = record.weights.named_with(node.variable for node in order if graphs.is_leaf(node))  # type: ignore[attr-defined]
        stack = call_stack()
        kind, structure = self._structure(roots, order, stack)
        loss = record.loss(kind, stack)
        loss.passes += 1
        if structure not in loss.structures:
            loss.structures = [*loss.structures[-15:], structure]
        structure.passes += 1
        self.entry = Backward(
            record.next_index(),
            loss,
            structure,
            stack,
            _value(outputs),
            outputs=[TensorWeakRef(each) for each in outputs if isinstance(each, Tensor)],
        )
        if accumulate:
            self._hook(order)

    def _structure(
        self, roots: Sequence[GradientEdge], order: Sequence[Node], stack: Sequence[Place]
    ) -> tuple[object, Structure]:
        """Return what tells the loss from others, and the shape of its graph, read only if it has not been seen."""
        line = stack[0], innermost(stack)
        tracer, known = self._tracer, self._record.structures
        edges = graphs.edges_of(self._inputs)
        number = {node: position for position, node in enumerate(order)}
        keys = [self._key(node.variable) for node in order if graphs.is_leaf(node)]  # type: ignore[attr-defined]
        shape = (
            line,
            graphs.shape_of(order),
            tuple(keys),
            tuple(number.get(edge.node) for edge in edges),
            tracer.shape_of(order) if tracer is not None else None,
        )
        if shape not in known:
            parameters = [each.tensor for each in self._named.values()]
            graph = graphs.read(order, edges, self._involved, parameters)
            leaves = [None if key == "#" else key for key in keys]
            structure = Structure(leaves, graph.beside, graph.away, graph.bytes_by_reach, graph.work_by_reach)
            if tracer is not None:
                structure.crossings = tracer.crossings(roots, self._named_leaves(graph), graph, line[1])
                by_node = {node: leaves[bit] for bit, (node, _) in enumerate(graph.leaves)}
                top = [edge.node for edge in roots]
                structure.diagram = Diagram(self._record.names, graph, by_node, tracer.operation, top)
            entrances = frozenset(
                (name, crossing.site) for name, crossings in structure.crossings.items() for crossing in crossings
            )
            names = frozenset(map(graphs.name_of, graph.nodes))
            involved = frozenset(self._involved(leaf) for _, leaf in graph.leaves)
            tops = tuple(graphs.name_of(edge.node) for edge in roots)
            if len(known) >= 256:  # graphs that never look alike
                known.clear()
            known[shape] = (line, tops, names, involved, entrances), structure
        return known[shape]

    def _key(self, leaf: Tensor) -> str | None:
        """Return a leaf's key, "#" for a parameter of no audited module; None if it is data."""
        if id(leaf) in self._named or isinstance(leaf, nn.Parameter):
            return self._named[id(leaf)].key if id(leaf) in self._named else "#"
        return None

    def _involved(self, leaf: Tensor) -> object:
        """Return what of a leaf tells one loss from another: whose parameter it is; None if it is data."""
        if id(leaf) in self._named:
            return self._record.weights.large(self._named[id(leaf)])
        return "#" if isinstance(leaf, nn.Parameter) else None

    def _named_leaves(self, graph: graphs.Graph) -> dict[str, set[int]]:
        """Return for each named module in the graph the ids of its leaves."""
        found: dict[str, set[int]] = defaultdict(set)
        for _, leaf in graph.leaves:
            for name in self._named[id(leaf)].names if id(leaf) in self._named else ():
                found[name].add(id(leaf))
        return found

    def _hook(self, order: Sequence[Node]) -> None:
        leaves = [node for node in order if graphs.is_leaf(node)]
        self._nodes += leaves
        for node in leaves:
            # A hook of the node, not of the tensor: it sees also what reaches a parameter frozen meanwhile.
            leaf = node.variable  # type: ignore[attr-defined]
            self._hooks.callback(node.register_prehook(partial(self._arrived, leaf)).remove)

    def close(self) -> None:
        """Record what the pass has reached; also after an error."""
        self._hooks.close()
        for leaf in self._arrivals:
            self._steps.origins.added(leaf)
        self._arrivals.clear()
        self._nodes.clear()
        norms: dict[str, list[float]] = defaultdict(list)
        parameters: dict[str, list[str]] = defaultdict(list)
        for each in self._named.values():
            for name, qualified in each.names.items() if each.key in self.entry.contributions else ():
                norms[name].append(self.entry.contributions[each.key].norm)
                parameters[name].append(qualified)
        for name in self._record.weights.parts:
            if name in norms:
                self.entry.reached[name] = math.hypot(*norms[name])
                self.entry.parameters[name] = tuple(parameters[name])
        self._steps.pass_ended(self.entry)

    def include(self, outputs: Sequence[Tensor | GradientEdge], inputs: Sequence[Tensor | GradientEdge]) -> None:
        """Take the gradients of a graph that runs inside this pass as this pass's."""
        with aside():
            if self._accumulate:
                self._hook(graphs.behind(graphs.edges_of(outputs)))

    def returned(self, gradients: Sequence[Tensor | None]) -> None:
        """Take what `torch.autograd.grad` returns, one for each input."""
        if self._accumulate:
            return
        with aside():
            keys = []
            for tensor, gradient in zip(self._inputs, gradients, strict=True):
                if isinstance(tensor, Tensor) and tensor.is_leaf and gradient is not None:
                    contribution = self._contribution(tensor, gradient)
                    self._steps.origins.handed_out(gradient, contribution)
                    contribution.replace()  # the user's to use
                    keys += [self._named[id(tensor)].key] if id(tensor) in self._named else []
            if self._tracer is not None:
                self._tracer.handed_out(gradients, tuple(keys), self._roots)

    def _arrived(self, leaf: Tensor, gradients: tuple[Tensor | None, ...]) -> None:
        gradient = gradients[0]
        if gradient is None:
            return
        with aside():
            seen = self._record.weights.key_of(leaf, self._named) in self.entry.contributions
            contribution = self._contribution(leaf, gradient)
            if not leaf.requires_grad:  # PyTorch drops what reaches a leaf frozen meanwhile
                contribution.lose(Lost("frozen"))
            elif not seen:
                self._steps.arrived(leaf, contribution)
                self._arrivals.append(leaf)

    def _contribution(self, leaf: Tensor, gradient: Tensor) -> Contribution:
        key = self._record.weights.key_of(leaf, self._named)
        earlier = self.entry.contributions.get(key)
        if earlier is None:
            contribution = self.entry.contributions[key] = Contribution(self.entry, key, norm([gradient]))
            contribution.use.passes += 1
            contribution.alone = leaf.grad is None
            return contribution
        if earlier.alone and leaf.grad is not None:  # all that is there is this pass's
            earlier.norm = norm([leaf.grad + gradient])
        else:
            earlier.norm = math.hypot(earlier.norm, norm([gradient]))
        return earlier


def _value(outputs: Sequence[Tensor | GradientEdge]) -> float | None:
    loss = outputs[0] if len(outputs) == 1 else None
    if isinstance(loss, Tensor) and loss.layout is torch.strided and loss.numel() == 1 and not loss.is_complex():
        return float(loss.detach())
    return None
