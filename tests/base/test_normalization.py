import gymnasium
import numpy as np
import pytest
import torch
from conftest import ACTIONS, identical, make_batch, weights
from gymnasium.spaces import Box
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from ddpg import DDPG
from ddpg.base.normalization import Normalization, RewardScale
from ddpg.critic_freeze import CriticFreeze
from ddpg.gradient_stop import GradientStop

SPACE = Box(-np.inf, np.inf, (3,))


def pendulums():
    """Two environments as stable-baselines3 normalises them: rewards and observations."""
    environment = VecNormalize(DummyVecEnv([lambda: gymnasium.make("Pendulum-v1", max_episode_steps=50)] * 2))
    environment.seed(0)
    return environment


def test_as_vec_normalize_of_stable_baselines3():
    theirs, normalization, scale = pendulums(), Normalization(SPACE), RewardScale(0.99, 2)
    theirs.reset()
    normalization.update(theirs.get_original_obs())
    generator = np.random.default_rng(0)
    for _ in range(120):
        normalized, rewards, ended, _ = theirs.step(generator.uniform(-2, 2, (2, 1)))
        normalization.update(theirs.get_original_obs())
        scale.update(theirs.get_original_reward(), ended)
        ours = normalization(torch.as_tensor(theirs.get_original_obs())).numpy()
        np.testing.assert_allclose(ours, normalized, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(theirs.get_original_reward() / scale.value, rewards, rtol=1e-4)


def test_by_hand():
    normalization = Normalization(Box(-np.inf, np.inf, (1,)))
    normalization.update(np.array([[1.0], [3.0]] * 50_000))
    values = normalization(torch.tensor([[2.0], [3.0], [100.0]]))
    torch.testing.assert_close(values, torch.tensor([[0.0], [1.0], [10.0]]), atol=1e-4, rtol=0)


def agent(**options):
    return DDPG(SPACE, Box(-2, 2, (1,)), hidden_sizes=(16,), normalize_observations=True, **options)


def test_all_networks_share_the_statistics_and_only_observe_changes_them(tmp_path):
    learner = agent()
    learner.observe(np.random.default_rng(0).normal(5, 2, (100, 3)))
    for network in learner.modules().values():
        assert network.normalization is learner.normalization
    before = learner.normalization.get_extra_state()["mean"].copy()
    learner.act(np.full(3, 9.0), explore=True)
    assert np.array_equal(learner.normalization.get_extra_state()["mean"], before) and abs(before - 5).max() < 1
    plain = DDPG(SPACE, Box(-2, 2, (1,)), hidden_sizes=(16,))
    observation = np.array([5.0, 7.0, 3.0])
    state = learner.normalization.get_extra_state()
    normalized = (observation - state["mean"]) / np.sqrt(state["var"])
    np.testing.assert_allclose(learner.act(observation), plain.act(normalized), atol=1e-6)


def test_the_statistics_are_kept_with_the_agent_exactly(tmp_path):
    learner = agent()
    learner.observe(np.random.default_rng(0).normal(5, 2, (100, 3)))
    learner.save(tmp_path / "agent.safetensors")
    loaded = DDPG.load(tmp_path / "agent.safetensors")
    assert np.array_equal(loaded.act(np.ones(3)), learner.act(np.ones(3)))
    for each in (learner, loaded):
        each.observe(np.ones(3))
    assert np.array_equal(loaded.normalization.get_extra_state()["var"], learner.normalization.get_extra_state()["var"])
    assert np.array_equal(loaded.act(np.ones(3)), learner.act(np.ones(3)))


def test_images_are_seen_from_0_to_1():
    space = Box(0, 255, (2, 2), np.uint8)
    pixels = DDPG(space, Box(-2, 2, (1,)), hidden_sizes=(16,))
    floats = DDPG(Box(0, 1, (2, 2)), Box(-2, 2, (1,)), hidden_sizes=(16,))
    image = np.array([[0, 51], [102, 255]], np.uint8)
    np.testing.assert_allclose(pixels.act(image), floats.act(image / np.float32(255)), atol=1e-6)


@pytest.mark.parametrize("rewards", [[[1.0], [1.0], [1.0]]])
def test_the_scale_of_rewards_begins_anew_with_each_episode_and_from_its_state(rewards):
    scale, other = RewardScale(0.5, 1), RewardScale(0.5, 1)
    for reward, ended in zip(np.array(rewards), (False, True, False), strict=True):
        scale.update(reward, np.array([ended]))
    assert scale.state_dict()["sums"] == [1]
    expected = np.std([1, 1.5, 1])
    assert scale.value == pytest.approx(expected, abs=0.02)
    other.load_state_dict(scale.state_dict())
    assert other.value == scale.value


def test_all_sound_stops_and_freezes_end_in_the_same_weights():
    def train(stop, freeze):
        learner = DDPG(
            SPACE,
            ACTIONS,
            hidden_sizes=(16,),
            normalize_observations=True,
            gradient_stop=stop,
            critic_freeze=freeze,
            layer_norm=True,
        )
        for seed in range(5):
            learner.observe(np.random.default_rng(seed).normal(5, 2, (10, 3)))
            learner.update(make_batch(seed=seed))
        return weights(*learner.modules().values())

    sound = [
        *((name, "requires_grad") for name, kind in GradientStop.options.items() if kind().sound),
        *(("no_grad", name) for name, kind in CriticFreeze.options.items() if kind().sound),
    ]
    assert len(sound) == 10
    first = train(*sound[0])
    assert all(identical(first, train(*each)) for each in sound[1:])
    assert not identical(first, train("none", "requires_grad"))
