"""An exported file acts as the agent does, and a file that would not is not written."""

import sys

import numpy as np
import pytest
import torch
from conftest import ACTIONS, OBSERVATIONS, make_agent
from gymnasium.spaces import Box

from ddpg import DDPG, InputError
from ddpg.watching.exporting import export

SOME = np.random.default_rng(1).uniform(-20, 20, (50, 3)).astype(np.float32)


def onnx(path):
    session = pytest.importorskip("onnxruntime").InferenceSession(path)
    return lambda observations: session.run(["actions"], {"observations": observations})[0]


def pt2(path):
    module = torch.export.load(path).module()
    return lambda observations: module(torch.from_numpy(observations)).detach().numpy()


@pytest.mark.parametrize(("name", "load"), [("policy.onnx", onnx), ("policy.pt2", pt2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_file_acts_as_the_agent_within_the_bounds(name, load, dtype, tmp_path):
    agent = make_agent(final_layer_bound=3.0)  # so that actions reach their bounds
    agent.actor.to(dtype)
    assert export(agent, tmp_path / name, SOME) < 1e-5
    policy = load(tmp_path / name)
    for observations in (SOME, SOME[:1]):  # as many as one likes
        actions = policy(observations)
        assert actions.dtype == np.float32 and actions.shape == (len(observations), 2)
        np.testing.assert_allclose(actions, agent.act(observations), atol=1e-5)
        assert (actions >= ACTIONS.low).all() and (actions <= ACTIONS.high).all()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert agent.actor.training and next(agent.actor.parameters()).dtype == dtype  # the agent's own is left alone


def test_rounding_does_not_lead_beyond_the_bounds(tmp_path):
    low, high = np.random.default_rng(0).uniform([[-3], [0]], [[0], [1]], (2, 500)).astype(np.float32)
    agent = DDPG(OBSERVATIONS, Box(low, high), hidden_sizes=(8,))
    agent.actor.output.bias.data.fill_(100.0)
    assert (agent.policy(SOME) > high).any()
    export(agent, tmp_path / "policy.pt2", SOME)
    assert (pt2(tmp_path / "policy.pt2")(SOME) <= high).all()


@pytest.mark.parametrize("broken", ["random", "observed"])
def test_a_file_that_acts_otherwise_is_not_written(broken, tmp_path, monkeypatch):
    agent = make_agent()
    policy = agent.policy

    def other(observations):
        actions = policy(observations)
        actions[1010 if broken == "observed" else 3] += 0.01
        return actions

    monkeypatch.setattr(agent, "policy", other)
    with pytest.raises(InputError, match=r"would differ from the agent's by 6\.7e-03 of half the action range"):
        export(agent, tmp_path / "policy.pt2", SOME)
    assert not list(tmp_path.iterdir())


def test_another_ending_and_a_missing_package_are_named(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"policy\.pt: must end in \.onnx or \.pt2"):
        export(make_agent(), tmp_path / "policy.pt", SOME)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(InputError, match=r"onnxscript.*ddpg\[export\]"):
        export(make_agent(), tmp_path / "policy.onnx", SOME)


def test_random_observations_are_of_the_space(tmp_path):
    seen = []
    agent = make_agent()
    policy = agent.policy
    agent.policy = lambda observations: seen.append(observations) or policy(observations)
    export(agent, tmp_path / "policy.pt2", SOME)
    assert seen[0].shape == (1050, 3) and OBSERVATIONS.contains(seen[0][0])
