"""Modules that nobody names are found, at the level at which they play a part, and go by the code's names."""

import gc
import weakref
from functools import partial

import pytest
import torch
from gallery import CASES
from sound import SOUND
from torch import nn

from ddpg.gradient_flow import GradientFlow

PROGRAMS = {f"{case.name}-{twin}": getattr(case, twin) for case in CASES for twin in ("faulty", "mended")}
PROGRAMS |= {each.name: each.loop for each in SOUND}
BY_PART = {  # findings on a part are at the call of the part
    "third_part_forgotten-faulty",
    "head_replaced_after_the_optimizer-faulty",
    "head_alone_is_tuned",
    "adapters_alone_are_tuned",
}


def unnamed(trace, *modules, **options):
    return GradientFlow(
        trace=trace, **{key: value for key, value in options.items() if key in ("shared", "frozen", "least_cost")}
    )


def faults(flow, lines):
    return {(each.kind, each.severity, each.line if lines else 0) for each in flow.findings()}


@pytest.mark.parametrize("trace", [True, pytest.param(False, marks=pytest.mark.long)], ids=["traced", "untraced"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same_is_found_without_names(name, trace):
    program = PROGRAMS[name]
    named = faults(program(partial(GradientFlow, trace=trace)), name not in BY_PART)
    assert faults(program(partial(unnamed, trace)), name not in BY_PART) == named


def test_models_trained_one_after_the_other_are_told_apart():
    with GradientFlow() as flow:
        for held in (True, False):
            net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
            optimizer = torch.optim.SGD(net.parameters() if held else net[1].parameters(), 0.1)
            for _ in range(3):
                optimizer.zero_grad()
                net(torch.ones(4, 2)).sum().backward()
                optimizer.step()
            del net, optimizer
    names = flow.as_dict()["modules"].keys()
    assert names == {"net", "net (2).0", "net (2).1"}
    assert [each.modules for each in flow.findings() if each.kind == "unheld"] == [("net (2).0",)]


def test_names_are_those_of_variables_attributes_and_containers():
    class Agent:
        def __init__(self):
            self.actor = nn.Linear(2, 1)
            self.critics = [nn.Linear(2, 1), nn.Linear(2, 1)]
            self.log_alpha = torch.zeros(1, requires_grad=True)

    agents = {"one": Agent(), "other": Agent()}
    with GradientFlow() as flow:
        parameters = []
        for each in agents.values():
            parameters += [each.log_alpha, *each.actor.parameters()]
            parameters += [parameter for critic in each.critics for parameter in critic.parameters()]
        optimizer = torch.optim.SGD(parameters, 0.1)
        for each in agents.values():
            networks = (each.actor, *each.critics)
            (sum(network(torch.ones(1, 2)).sum() for network in networks) * each.log_alpha.exp()).sum().backward()
        optimizer.step()
    assert flow.as_dict()["modules"].keys() == {
        f"{agent}.{name}" for agent in ("one", "other") for name in ("actor", "critics.0", "critics.1", "log_alpha")
    }
    assert flow.as_dict()["modules"]["one.actor"]["where"].startswith("attribute of ")
    assert flow.as_dict()["steps"][0]["name"] == "optimizer"


def test_a_part_with_a_name_of_its_own_keeps_it_and_a_whole_is_one():
    encoder, head = nn.Linear(2, 2), nn.Linear(2, 1)
    model = nn.Sequential(encoder, head)
    with GradientFlow() as flow:
        optimizer = torch.optim.SGD(head.parameters(), 0.1)
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.ones(1, 2)).sum().backward()
            optimizer.step()
    assert flow.as_dict()["modules"].keys() == {"encoder", "head"}
    with GradientFlow() as flow:
        model(torch.ones(1, 2)).sum().backward()
    assert flow.as_dict()["modules"].keys() == {"model"}


def test_a_model_is_not_kept_alive_by_having_been_found():
    def script():
        net = nn.Linear(2, 1)
        reference = weakref.ref(net)
        net(torch.ones(1, 2)).sum().backward()
        del net
        gc.collect()
        return reference

    with GradientFlow(trace=True) as flow:
        assert script()() is None
    assert flow.as_dict()["modules"].keys() == {"net"}
