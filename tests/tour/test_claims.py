"""The verdicts are what the run finds: break a way, and the verdict of what is said about it changes."""

import pytest
import torch
from torch import nn

from ddpg.gradient_stop import Detach, EditGradient, ExcludeActor, InferenceMode, NoGrad
from ddpg.tour.claims import CLAIMS, CONDITION, FAILS, HOLDS, NOISE

BY_NUMBER = {claim.number: claim for claim in CLAIMS}
EXPECTED = {
    **dict.fromkeys((3, 4, 7, 10, 12, 13, 15), HOLDS),
    **dict.fromkeys((2, 6, 8, 9, 11, 14, 16, 17, 18), CONDITION),
    1: FAILS,
}


def verdict(number):
    return BY_NUMBER[number].ask().verdict


def test_every_claim_of_the_tutorial_is_there():
    assert list(BY_NUMBER) == list(range(1, 19))


@pytest.mark.parametrize("number", EXPECTED)
def test_a_claim_gets_the_verdict_that_pytorch_gives_it(number):
    answer = BY_NUMBER[number].ask()
    assert answer.verdict == EXPECTED[number], answer.evidence
    assert answer.evidence
    assert bool(answer.instead) == (answer.verdict != HOLDS)


def test_a_claim_about_speed_says_when_it_drowns_in_noise(monkeypatch):
    assert verdict(5) in (NOISE, CONDITION, FAILS)
    seconds = {"none": [3.0, 3.0, 3.0], "no_grad": [2.0, 2.0, 2.0]}
    for detach, expected in (([1.0, 2.0, 3.0], NOISE), ([3.0, 4.0, 5.0], CONDITION), ([1.0, 1.0, 1.5], FAILS)):
        measured = seconds | {"detach": detach}
        monkeypatch.setattr("ddpg.tour.claims.take_turns", lambda turns, rounds, measured=measured: measured)
        assert verdict(5) == expected
        assert "before detach is called" in BY_NUMBER[5].ask().instead
    unclear = {"detach": [3.0, 4.0, 5.0], "none": [1.0, 2.0, 3.0], "no_grad": [2.0, 2.0, 2.0]}
    monkeypatch.setattr("ddpg.tour.claims.take_turns", lambda turns, rounds: unclear)
    assert "not to be told apart" in BY_NUMBER[5].ask().instead


def let_through(self, policy, next_observations):
    return policy(next_observations)


def hold_everything(self, critic, policy):
    return [*critic.parameters(), *policy.parameters()]


def drop_nothing(self, loss, policy, update):
    loss.backward()


@pytest.mark.parametrize(
    ("way", "method", "broken", "numbers"),
    [
        (Detach, "actions", let_through, (3, 4, 6, 13, 18)),
        (NoGrad, "actions", let_through, (4, 13, 17, 18)),
        (ExcludeActor, "held_parameters", hold_everything, (11, 12, 13, 18)),
        (EditGradient, "backward", drop_nothing, (11, 12, 13, 15, 18)),
        (InferenceMode, "actions", let_through, (9, 13, 18)),
    ],
    ids=["Detach", "NoGrad", "ExcludeActor", "EditGradient", "InferenceMode"],
)
def test_breaking_a_way_changes_the_verdicts_about_it(monkeypatch, way, method, broken, numbers):
    monkeypatch.setattr(way, method, broken)
    assert {number: verdict(number) for number in numbers} == dict.fromkeys(numbers, FAILS)


def test_breaking_pytorch_changes_the_verdicts_about_it(monkeypatch):
    detach = torch.Tensor.detach
    monkeypatch.setattr(torch.Tensor, "detach", lambda tensor: detach(tensor).clone())
    assert verdict(1) == HOLDS
    monkeypatch.undo()
    monkeypatch.setattr(nn.Module, "eval", lambda module: module)
    assert verdict(16) == FAILS
