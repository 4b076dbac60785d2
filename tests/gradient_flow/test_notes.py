"""What looks clean without having been seen is said to be so."""

import threading

import pytest
import torch
from torch import nn

from ddpg.gradient_flow import GradientFlow


def train(model, parameters=None, steps=2):
    optimizer = torch.optim.SGD(list(parameters or model.parameters()), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(5, 3)).square().mean().backward()
        optimizer.step()


class Listed(nn.Module):
    """Its layers are in a list, where nobody registers them."""

    def __init__(self, head=False):
        super().__init__()
        self.layers = [nn.Linear(3, 3), nn.Linear(3, 3)]
        self.head = nn.Linear(3, 1) if head else None

    def forward(self, x):
        for layer in self.layers:
            x = layer(x).tanh()
        return x if self.head is None else self.head(x)


def test_nothing_is_found_in_what_was_seen():
    model = nn.Linear(3, 1)
    with GradientFlow(model=model) as flow:
        train(model)
    assert str(flow).startswith("nothing found in 2 backward passes and 2 steps\n")


def test_an_empty_audit_says_so():
    with GradientFlow(model=nn.Linear(1, 1)) as flow:
        pass
    assert str(flow).startswith("nothing was recorded\n")
    assert "Nothing was recorded: no backward pass and no optimizer step." in str(flow)


@pytest.mark.parametrize("trace", [False, True])
def test_a_module_without_parameters(trace):
    model, head = nn.Tanh(), nn.Linear(3, 1)
    with GradientFlow(squash=model, trace=trace) as flow:
        train(nn.Sequential(model, head))
    assert "squash has no parameters" in str(flow)
    assert "holds 2 parameters, none of them of squash" in str(flow)


@pytest.mark.parametrize("trace", [False, True])
def test_modules_in_a_list_are_looked_at_and_said_to_be_there(trace):
    model = Listed()
    with GradientFlow(model=model, trace=trace) as flow:
        train(model, [each for layer in model.layers for each in layer.parameters()])
    assert not flow.findings()
    assert flow.backwards[0].reached.keys() == flow.steps[0].moved.keys() == {"model"}
    assert "model has no parameters that it registers: model.layers.0 and model.layers.1" in " ".join(str(flow).split())


def test_modules_in_a_list_that_no_optimizer_got():
    model = Listed(head=True)
    with GradientFlow(model=model, trace=True) as flow:
        train(model)
    (finding,) = flow.findings()
    assert (finding.kind, finding.severity) == ("unheld", "fault")
    assert "No optimizer takes the gradients of model.layers." in finding.message
    assert "nn.ModuleList registers" in finding.message


def test_a_tensor_in_an_attribute_is_a_part():
    model = nn.Linear(3, 1)
    model.scale = torch.ones(1, requires_grad=True)
    with GradientFlow(model=model) as flow:
        (model.scale * model(torch.ones(1, 3))).sum().backward()
    assert "model.scale" in flow.backwards[0].parameters["model"]


def test_training_in_another_thread():
    model = nn.Linear(3, 1)
    with GradientFlow(model=model) as flow:
        learner = threading.Thread(target=train, args=(model,), name="learner")
        learner.start()
        learner.join()
    text = " ".join(str(flow).split())
    assert "In the thread learner there ran 4 passes and steps, which this audit does not see" in text
    assert "model changed without a gradient or a step that was seen" in text


def test_weights_that_change_by_another_hand_and_those_that_are_averages():
    model, average, strange = nn.Linear(3, 4), nn.Linear(3, 4), nn.Linear(3, 4)
    with GradientFlow(model=model, average=average, strange=strange) as flow:
        train(model)
        with torch.no_grad():
            for one, other in zip(average.parameters(), model.parameters(), strict=True):
                one.lerp_(other, 0.5)
            strange.weight.normal_()
    assert "strange.weight changed without a gradient" in str(flow).replace("\n      ", " ")
    assert "but not all was seen" in str(flow) and "average." not in str(flow).split("note:")[1]


def test_a_clear_audit_has_no_notes_of_a_second_thread_that_rests():
    model = nn.Linear(3, 1)
    with GradientFlow(model=model) as flow:
        train(model)
        rest = threading.Thread(target=lambda: model(torch.ones(1, 3)))
        rest.start()
        rest.join()
    assert "note:" not in str(flow)


def test_an_optimizer_that_was_made_and_does_not_step_is_named():
    model = nn.Linear(3, 1)
    with GradientFlow(model=model) as flow:
        optimizer = torch.optim.Adam(model.parameters())
        torch.optim.SGD(model.parameters(), 0.1).step()
    said = " ".join(str(flow).split())
    assert f"{type(optimizer).__name__} was made at test_notes.py" in said
    assert ", and did not step while this was recorded." in said
    assert "SGD was made" not in said


def test_what_is_declared_of_modules_that_are_not_found_is_named():
    with GradientFlow(shared="encoder", paths={"actor": "nobody.actor"}) as flow:
        model = nn.Linear(3, 1)
        train(model)
    said = " ".join(str(flow).split())
    assert "encoder was said to be shared or frozen, and no module of that name was found; " in said
    assert "actor=nobody.actor: no variable of the running code has a module there;" in said


class Strange(nn.Linear):
    """A module that does not answer what others do."""

    asked = False

    def modules(self):
        self.asked = True
        raise RuntimeError("not now")


def test_a_module_that_cannot_be_looked_at_is_no_harm():
    model, strange = nn.Linear(3, 1), Strange(3, 3)
    with GradientFlow() as flow:
        strange(torch.ones(1, 3))
        train(model)
    assert strange.asked
    said = " ".join(str(flow).split())
    assert "The search for modules met with an error, and may have missed some: RuntimeError: not now." in said


def test_modules_beyond_number_are_counted(monkeypatch):
    monkeypatch.setattr("ddpg.gradient_flow.discovery._MOST_FOUND", 1)
    one, other = nn.Linear(3, 1), nn.Linear(3, 2)
    with GradientFlow() as flow:
        train(one)
        other(torch.ones(1, 3))
    assert "There were more modules than are looked at: 1 module left out." in " ".join(str(flow).split())
