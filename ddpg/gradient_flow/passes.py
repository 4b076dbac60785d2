"""One backward pass under way."""

import math
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge
from torch.utils.weak import TensorWeakRef

from ddpg.gradient_flow import graph as graphs
from ddpg.gradient_flow.diagram import Diagram
from ddpg.gradient_flow.places import call_stack
from ddpg.gradient_flow.records import Backward, Contribution
from ddpg.gradient_flow.tensors import aside, norm

if TYPE_CHECKING:
    from ddpg.gradient_flow.recorder import Recorder


class Pass:
    """One backward pass, from the graph that it finds to the gradients that it leaves."""

    def __init__(
        self,
        recorder: "Recorder",
        outputs: Sequence[Tensor | GradientEdge],
        inputs: Sequence[Tensor | GradientEdge],
        accumulate: bool,
    ) -> None:
        self._recorder = recorder
        self._named = recorder.named()
        self._accumulate = accumulate
        self._inputs = inputs
        self._hooks = ExitStack()
        self._arrivals: list[Tensor] = []
        self._alone: set[str] = set()  # keys of leaves that had no gradient before this pass
        roots = graphs.edges_of(outputs)
        parameters = [each.tensor for each in self._named.values()]
        graph = graphs.read(roots, graphs.edges_of(inputs), self._involved, parameters)
        names = frozenset(graphs.name_of(node) for node in graph.nodes)
        involved = frozenset(self._involved(leaf) for _, leaf in graph.leaves)
        stack = call_stack()
        self.entry = Backward(
            recorder.next_index(),
            stack[0],
            stack,
            _value(outputs),
            bytes=graph.bytes(),
            outputs=[TensorWeakRef(each) for each in outputs if isinstance(each, Tensor)],
            kind=(stack[0], tuple(graphs.name_of(edge.node) for edge in roots), names, involved),
            leaves=[self._named[id(leaf)].key if id(leaf) in self._named else None for _, leaf in graph.leaves],
            bytes_by_reach=dict(graph.bytes_by_reach),
            work_by_reach=dict(graph.work_by_reach),
            beside=graph.beside,
            away=graph.away,
        )
        recorder.backwards.append(self.entry)
        recorder.share(self.entry)
        if recorder.tracer is not None:
            self.entry.crossings = recorder.tracer.crossings(roots, self._named_leaves(graph), graph)
            by_node = {node: self.entry.leaves[bit] for bit, (node, _) in enumerate(graph.leaves)}
            self.entry.diagram = Diagram.of(recorder.names, graph, by_node, recorder.tracer.operation)
        if accumulate:
            self._hook(graph)

    def _involved(self, leaf: Tensor) -> object:
        """What of a leaf tells one loss from another: whose parameter it is; nothing if it is data."""
        if id(leaf) in self._named:
            return tuple(self._named[id(leaf)].names)
        return self._recorder.key_of(leaf, self._named) if isinstance(leaf, nn.Parameter) else None

    def _named_leaves(self, graph: graphs.Graph) -> dict[str, set[int]]:
        """For each named module in the graph, the ids of its leaves."""
        found: dict[str, set[int]] = defaultdict(set)
        for _, leaf in graph.leaves:
            for name in self._named[id(leaf)].names if id(leaf) in self._named else ():
                found[name].add(id(leaf))
        return found

    def _hook(self, graph: graphs.Graph) -> None:
        for node, leaf in graph.leaves:
            # A hook of the node, not of the tensor: it sees also what reaches a parameter frozen meanwhile.
            self._hooks.callback(node.register_prehook(partial(self._arrived, leaf)).remove)

    def close(self) -> None:
        """The pass has ended, also by an error."""
        self._hooks.close()
        for leaf in self._arrivals:
            self._recorder.origins.added(leaf)
        self._arrivals.clear()
        norms: dict[str, list[float]] = defaultdict(list)
        parameters: dict[str, list[str]] = defaultdict(list)
        for each in self._named.values():
            for name, qualified in each.names.items() if each.key in self.entry.contributions else ():
                norms[name].append(self.entry.contributions[each.key].norm)
                parameters[name].append(qualified)
        for name in self._recorder.names:
            if name in norms:
                self.entry.reached[name] = math.hypot(*norms[name])
                self.entry.parameters[name] = tuple(parameters[name])

    def include(self, outputs: Sequence[Tensor | GradientEdge], inputs: Sequence[Tensor | GradientEdge]) -> None:
        """Another graph runs inside this pass: its gradients are this pass's."""
        with aside():
            if self._accumulate:
                self._hook(graphs.read(graphs.edges_of(outputs), graphs.edges_of(inputs)))

    def returned(self, gradients: Sequence[Tensor | None]) -> None:
        """What `torch.autograd.grad` gives back, one for each input."""
        if self._accumulate:
            return
        with aside():
            for tensor, gradient in zip(self._inputs, gradients, strict=True):
                if isinstance(tensor, Tensor) and tensor.is_leaf and gradient is not None:
                    contribution = self._contribution(tensor, gradient)
                    self._recorder.origins.handed_out(gradient, contribution)
                    contribution.replaced = True  # the user's to use

    def _arrived(self, leaf: Tensor, gradients: tuple[Tensor | None, ...]) -> None:
        gradient = gradients[0]
        if gradient is None:
            return
        with aside():
            seen = self._recorder.key_of(leaf, self._named) in self.entry.contributions
            contribution = self._contribution(leaf, gradient)
            if leaf.requires_grad and not seen:  # PyTorch drops what reaches a leaf frozen meanwhile
                self._recorder.arrived(leaf, contribution)
                self._arrivals.append(leaf)

    def _contribution(self, leaf: Tensor, gradient: Tensor) -> Contribution:
        key = self._recorder.key_of(leaf, self._named)
        earlier = self.entry.contributions.get(key)
        if earlier is None:
            contribution = self.entry.contributions[key] = Contribution(self.entry, norm([gradient]))
            if leaf.grad is None:
                self._alone.add(key)
            return contribution
        if key in self._alone and leaf.grad is not None:  # all that is there is this pass's
            earlier.norm = norm([leaf.grad + gradient])
        else:
            earlier.norm = math.hypot(earlier.norm, norm([gradient]))
        return earlier


def _value(outputs: Sequence[Tensor | GradientEdge]) -> float | None:
    loss = outputs[0] if len(outputs) == 1 else None
    if isinstance(loss, Tensor) and loss.layout is torch.strided and loss.numel() == 1 and not loss.is_complex():
        return float(loss.detach())
    return None
