"""Which way does what is meant on which network; the tour's tables show the same."""

import pytest
import torch

from ddpg.tour.architectures import made
from ddpg.tour.compare import ALL
from ddpg.tour.trial import trial

CUT = {"detach", "no_grad", "inference+clone", "set_grad_enabled"}
ZERO = {"register_hook", "autograd.Function"}
FREEZE = {"requires_grad_", "functional_call"}
AFTERWARDS = {"optimizer", "manual", "backward(inputs=)"}
AS_MEANT = {
    "chain": CUT | FREEZE | AFTERWARDS,
    "middle": FREEZE | AFTERWARDS,
    "heads": CUT | ZERO | FREEZE,  # a zero that is added to another loss's gradient does no harm
    "shared": {"detach", "autograd.Function"},
}


def run(name, way):
    network, data = made(name)
    return trial(network, data, ALL[way](network.others))


@pytest.mark.parametrize("way", ALL)
@pytest.mark.parametrize("name", AS_MEANT)
def test_a_way_does_as_meant_where_it_can(name, way):
    assert run(name, way).as_meant == (way in AS_MEANT[name])


def test_zeros_stop_a_gradient_but_not_momentum_and_weight_decay():
    for way in ALL:
        result = run("chain", way)
        assert result.drifts == (way in ZERO | {"none"})
        assert bool(result.wrong) == (way == "none")


@pytest.mark.parametrize("name", ["chain", "middle", "heads"])
def test_inference_mode_alone_is_refused_in_pytorchs_words(name):
    assert "Inference tensors cannot be saved for backward" in run(name, "inference_mode").error


def test_the_gradients_are_those_of_a_pass_by_hand():
    network, data = made("chain")
    result = trial(network, data, ALL["none"](network.others))
    again, _ = made("chain")
    (loss,) = again.losses(ALL["none"](again.others), data).values()
    loss.backward()
    for name, module in again.modules.items():
        gradients = torch.cat([each.grad.flatten() for each in module.parameters()])
        assert result.gradients[name] == pytest.approx(gradients.norm().item())
    assert result.moved == ("L1", "L2")
    assert result.wrong == ("L1",)
    assert result.computed == 4 * (16 * 16 + 16 + 16 + 1)


def test_what_is_saved_and_what_is_held():
    trials = {way: run("chain", way) for way in ("none", "detach", "no_grad")}
    x, hidden, squared = 32 * 16 * 4, 32 * 16 * 4, 32 * 4  # the data, tanh's result, the head's output
    assert (trials["none"].saved, trials["none"].held) == (x + hidden + squared,) * 2
    assert (trials["detach"].saved, trials["detach"].held) == (x + hidden + squared, hidden + squared)
    assert (trials["no_grad"].saved, trials["no_grad"].held) == (hidden + squared,) * 2


def test_the_gradient_beyond_the_module_is_cut_off_zeroed_or_passed():
    first = {way: run("middle", way).gradients["first"] for way in CUT | ZERO | FREEZE | AFTERWARDS}
    assert {way for way, gradient in first.items() if gradient is None} == CUT
    assert {way for way, gradient in first.items() if gradient == 0} == ZERO
    assert len({round(first[way], 6) for way in FREEZE | AFTERWARDS}) == 1
