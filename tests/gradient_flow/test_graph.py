"""What a graph leads to, holds and costs, against figures worked out by hand."""

import pytest
import torch
from torch import nn
from torch.autograd.graph import get_gradient_edge

from ddpg.gradient_flow import GradientFlow, private
from ddpg.gradient_flow.graph import behind, edges_of, name_of, read

told = pytest.mark.skipif(not private.knows_memory, reason="PyTorch does not tell here what memory a graph holds")


def graph_of(loss, inputs=()):
    return read(behind(edges_of([loss])), edges_of(inputs))


def names(*modules):
    return {id(each): name for module in modules for name, each in module.named_parameters()}


def test_nodes_come_before_what_they_feed_and_once():
    x = torch.ones(2, requires_grad=True)
    y = x.exp()
    graph = graph_of((y * y + y.sin()).sum())
    assert [name_of(node) for node in graph.nodes] in (
        ["Sum", "Add", "Mul", "Sin", "Exp"],
        ["Sum", "Add", "Sin", "Mul", "Exp"],
    )
    assert [leaf is x for _, leaf in graph.leaves] == [True]


def test_a_graph_of_ten_thousand_nodes():
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(10_000):
        y = y + 1
    assert len(graph_of(y).nodes) == 10_000


@told
def test_bytes_are_those_of_saved_tensors_without_parameters_and_without_counting_twice():
    x = torch.randn(5, 3)
    layer = nn.Linear(3, 2)
    assert graph_of(layer(x).sum()).bytes() == 5 * 3 * 4  # the input; not the weight, which x needs no gradient for
    assert graph_of(torch.tanh(layer(x)).sum()).bytes() == 5 * 3 * 4 + 5 * 2 * 4
    y = layer(x).exp()  # both operations save the same result
    assert graph_of((y * y).sum()).bytes() == 5 * 3 * 4 + 5 * 2 * 4
    hidden = nn.Linear(2, 7)
    assert graph_of(hidden(layer(x)).sum()).bytes() == 5 * 3 * 4 + 5 * 2 * 4  # the weight in between is a parameter


@told
def test_a_frozen_parameter_is_not_held_by_the_graph():
    frozen, x = nn.Linear(3, 2).requires_grad_(False), torch.randn(5, 3, requires_grad=True)
    loss = frozen(x).exp().sum()
    assert graph_of(loss).bytes() == 5 * 2 * 4 + 3 * 2 * 4  # who frozen belongs to is not known
    named = read(behind(edges_of([loss])), [], parameters=frozen.parameters())
    assert named.bytes() == 5 * 2 * 4
    with GradientFlow(frozen=frozen, also=nn.Linear(1, 1)) as flow:
        frozen(x).exp().sum().backward()
    assert flow.backwards[0].bytes == 5 * 2 * 4


@told
def test_reach_tells_whose_bytes_they_are():
    one, two = nn.Linear(3, 2), nn.Linear(2, 1)
    graph = graph_of(two(one(torch.randn(5, 3))).sum())
    known = names(one)
    first = sum(1 << bit for bit, (_, leaf) in enumerate(graph.leaves) if id(leaf) in known)
    assert graph.bytes_by_reach[first] == 5 * 3 * 4
    assert sum(graph.bytes_by_reach.values()) == 5 * 3 * 4 + 5 * 2 * 4


def test_what_was_freed_or_packed_away_is_not_counted_and_not_unpacked():
    x, layer = torch.randn(5, 3), nn.Linear(3, 2)
    loss = layer(x).sum()
    loss.backward()
    assert graph_of(loss).bytes() == 0
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: pytest.fail("unpacked")):
        loss = layer(x).sum()
    assert graph_of(loss).bytes() == 0


@pytest.mark.parametrize(
    ("forward", "shape", "products"),
    [
        (lambda m, x: m(x), (5, 3), {"weight": 2 * 5 * 3 * 2}),
        (lambda m, x: m(x), (4, 5, 3), {"weight": 2 * 4 * 5 * 3 * 2}),
        (lambda m, x: torch.bmm(x, m.weight.T.expand(4, 3, 2)), (4, 5, 3), {"weight": 2 * 4 * 5 * 3 * 2}),
        (lambda m, x: x @ m.weight[0], (5, 3), {"weight": 2 * 5 * 3}),
    ],
    ids=["rows", "batches of rows", "bmm", "matrix by vector"],
)
def test_matrix_products_count_their_multiplications_and_additions(forward, shape, products):
    layer = nn.Linear(3, 2)
    x = torch.randn(shape, requires_grad=True)
    graph = graph_of(forward(layer, x).sum())
    known = names(layer)
    for bit, (_, leaf) in enumerate(graph.leaves):
        expected = products.get(known.get(id(leaf), "input"), products["weight"])
        if known.get(id(leaf)) != "bias":
            assert expected <= graph.work_by_reach[1 << bit] <= 1.9 * expected


def test_convolutions_count_theirs():
    layer, x = nn.Conv2d(2, 3, 3), torch.randn(4, 2, 8, 8)
    graph = graph_of(layer(x).sum())
    (weight,) = (bit for bit, (_, leaf) in enumerate(graph.leaves) if leaf is layer.weight)
    assert graph.work_by_reach[1 << weight] == 2 * (4 * 3 * 6 * 6) * (2 * 3 * 3)


def test_only_what_is_asked_for_is_work():
    one, two = nn.Linear(3, 2), nn.Linear(2, 1)
    loss = two(one(torch.randn(5, 3))).sum()
    everything, asked = graph_of(loss), graph_of(loss, list(two.parameters()))
    assert sum(asked.work_by_reach.values()) < 0.5 * sum(everything.work_by_reach.values())
    assert asked.wanted.bit_count() == 2


def test_intermediate_tensors_can_be_asked_for():
    one, two = nn.Linear(3, 2), nn.Linear(2, 1)
    between = one(torch.randn(5, 3))
    graph = graph_of(two(between).sum(), [between])
    assert graph.wanted == 1 << len(graph.leaves)
    assert sum(graph.work_by_reach.values()) > 0


def test_edges_of_leaves_and_of_what_needs_no_gradient():
    x = torch.ones(1, requires_grad=True)
    assert edges_of([x, torch.ones(1), get_gradient_edge(x)]) == [get_gradient_edge(x)] * 2
