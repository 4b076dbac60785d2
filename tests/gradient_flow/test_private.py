"""The audit needs PyTorch and nothing else, and of what PyTorch keeps to itself it says what is missing."""

import functools
import importlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ddpg.gradient_flow import GradientFlow, private

PARTS = [
    "_compile._disable_dynamo",
    "_guards.TracingContext.try_get",
    "_C._functorch.peek_interpreter_stack",
    "_C._functorch.is_legacy_batchedtensor",
    "_C.DisableTorchFunction",
    "_C._set_grad_enabled",
    "_C._pop_torch_dispatch_stack",
    "_C._len_torch_function_stack",
    "_C._autograd._get_sequence_nr",
    "_C._autograd.SavedTensor.unpack_hook",
    "_C._functions.AccumulateGrad._input_metadata",
    "nn.modules.batchnorm._NormBase",
    f"autograd.{private.ENGINE}",
]
ALONE = """
import importlib.machinery
import sys

KNOWN = {"ddpg", "torch", "torchgen", "functorch", *sys.argv[1].split()} | sys.stdlib_module_names
find_spec = importlib.machinery.PathFinder.find_spec

def known_alone(name, path=None, target=None):
    top = name.partition(".")[0]
    return find_spec(name, path, target) if top in KNOWN or top.startswith("_sysconfigdata") else None

importlib.machinery.PathFinder.find_spec = known_alone
sys.path[:0] = [sys.argv[2]]
import torch
from torch import nn
from ddpg.gradient_flow import GradientFlow
model = nn.Linear(3, 1)
with GradientFlow(model=model, trace=True) as flow:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
assert "nothing found" in str(flow), str(flow)
flow.mermaid()
assert not [each for each in sys.modules if each.startswith("ddpg.") and each.split(".")[1] != "gradient_flow"]
"""


@pytest.fixture
def without(monkeypatch):
    """Takes a part of PyTorch away from the audit, not from PyTorch."""

    def without(path):
        *above, name = path.split(".")
        owner = functools.reduce(getattr, above, torch)
        with monkeypatch.context() as patch:
            if isinstance(owner, type):  # of which PyTorch lets nothing be deleted
                rest = {each: getattr(owner, each) for each in dir(owner) if each != name}
                patch.setattr(functools.reduce(getattr, above[:-1], torch), above[-1], SimpleNamespace(**rest))
            else:
                patch.delattr(owner, name)
            importlib.reload(private)

    yield without
    importlib.reload(private)


def audit(trace=False):
    """A training with a waste: the actor's pass fills the critic's gradients, and the critic's clears them."""
    torch.manual_seed(0)
    actor, critic = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.BatchNorm1d(4)), nn.Linear(4, 1)
    with GradientFlow(actor=actor, critic=critic, trace=trace) as flow:
        optimizers = [torch.optim.SGD(each.parameters(), lr=0.1) for each in (actor, critic)]
        for _ in range(4):
            optimizers[0].zero_grad()
            critic(actor(torch.randn(5, 3))).sum().backward()
            optimizers[0].step()
            optimizers[1].zero_grad()
            (critic(torch.randn(5, 4)) - 1).square().mean().backward()
            optimizers[1].step()
    return flow


def test_importing_and_using_the_audit_needs_pytorch_alone():
    torchs = "typing_extensions sympy mpmath networkx jinja2 markupsafe fsspec filelock numpy optree triton"
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", ALONE, torchs, str(root)], check=True, cwd=root.parent)


@pytest.mark.parametrize("path", [each for each in PARTS if not each.endswith(private.ENGINE)])
@pytest.mark.parametrize("trace", [False, True])
def test_a_missing_part_changes_no_finding_that_does_not_need_it(without, path, trace):
    kinds = [each.kind for each in audit(trace).findings()]
    without(path)
    flow = audit(trace)
    assert (
        "waste" in kinds and [each.reached.keys() for each in flow.backwards] == [{"actor", "critic"}, {"critic"}] * 4
    )
    if not private.knows_work:
        kinds.remove("waste")
    assert [each.kind for each in flow.findings()] == kinds


@pytest.mark.parametrize("part", ["peek_interpreter_stack", "is_legacy_batchedtensor"])
@pytest.mark.parametrize("trace", [False, True])
def test_transforms_are_no_passes_even_where_pytorch_does_not_tell_of_them(without, part, trace):
    without(f"_C._functorch.{part}")
    model, x = nn.Linear(2, 1), torch.ones(3, 2, requires_grad=True)
    with GradientFlow(model=model, trace=trace) as flow:
        torch.func.vmap(torch.func.grad(lambda x: model(x).square().sum()))(torch.ones(3, 2))
        torch.autograd.grad(model(x).square().sum(1), x, torch.eye(3), is_grads_batched=True)
        model(x).sum().backward()
    assert len(flow.backwards) == 1


def test_without_sizes_none_is_said(without):
    assert not private.knows_memory or audit().as_dict()["losses"][0]["bytes"] > 0
    without("_C._autograd.SavedTensor.data")
    assert not private.knows_memory
    assert audit().as_dict()["losses"][0]["bytes"] is None


def test_without_what_tracing_needs_nothing_is_traced_and_that_is_said(without):
    without("_C._autograd._get_sequence_nr")
    assert "hides what tracing needs: nothing was traced" in str(audit(trace=True)).replace("\n      ", " ")
    assert "hides" not in str(audit())


def test_without_shapes_waste_is_not_looked_for_and_that_is_said(without):
    without("_C._functions.AccumulateGrad._input_metadata")
    assert "waste was not looked for" in " ".join(str(audit()).split())


def test_without_the_engine_an_audit_cannot_be_opened(without):
    without(f"autograd.{private.ENGINE}")
    with pytest.raises(RuntimeError, match="hides its backward passes"):
        audit()


def test_the_engines_arguments_may_have_names():
    assert private.engine_arguments((1, 2, 3, (4,)), {"accumulate_grad": True}) == (1, (4,), True)
    assert private.engine_arguments((), {"inputs": (4,), "accumulate_grad": True}) == ((), (4,), True)


def test_a_newer_pytorch_is_said_to_be_so(monkeypatch):
    assert list(private.lost()) == []
    monkeypatch.setattr(private, "NEWEST_TRIED", (2, 5))
    assert "is newer than 2.5, the newest that this was tried with" in " ".join(str(audit()).split())
