import numpy as np
import pytest
import torch
from conftest import ACTIONS, OBSERVATIONS, identical, make_batch, weights
from gymnasium.spaces import Box
from own_networks import MyActor, MyCritic
from torch import nn

from ddpg import DDPG, CompiledUpdate, GradientFlow, InputError
from ddpg.base.custom_networks import own_parameters
from ddpg.critic_freeze import CriticFreeze
from ddpg.gradient_stop import GradientStop

SOUND_STOPS = ["detach", "no_grad", "inference_mode", "optimizer", "manual"]
SOUND_FREEZES = ["requires_grad", "optimizer", "inputs", "functional", "manual"]


def sharing(detach=True, **options):
    """An agent whose networks share an encoder."""
    torch.manual_seed(0)
    encoder = nn.Linear(3, 16)
    return DDPG(
        OBSERVATIONS,
        ACTIONS,
        actor=MyActor(encoder=encoder, detach=detach),
        critic=MyCritic(encoder=encoder),
        **options,
    )


def beyond():
    """An actor without a tanh, of weights that leave the bounds whatever the seed."""
    actor = nn.Linear(3, 2)
    nn.init.constant_(actor.weight, 9.0)
    return actor


def test_modules_or_what_makes_them_for_the_spaces():
    module = MyActor()
    agent = DDPG(OBSERVATIONS, ACTIONS, actor=module, critic=MyCritic)
    assert agent.actor is module and isinstance(agent.critic, MyCritic)
    one, other = (DDPG(OBSERVATIONS, ACTIONS, actor=MyActor, critic=MyCritic, seed=3) for _ in range(2))
    assert identical(weights(*one.modules().values()), weights(*other.modules().values()))  # the seed decides
    assert "MyActor" in repr(agent) and "MyCritic" in repr(agent)


@pytest.mark.parametrize("bootstrap_actor", ["target", "online"])
def test_all_sound_stops_and_freezes_end_in_the_same_weights_with_a_shared_encoder(bootstrap_actor):
    def train(stop, freeze):
        agent = sharing(gradient_stop=stop, critic_freeze=freeze, bootstrap_actor=bootstrap_actor)
        for seed in range(5):
            agent.update(make_batch(seed=seed))
        return weights(*agent.modules().values())

    stops = SOUND_STOPS[:-1] if bootstrap_actor == "online" else SOUND_STOPS
    first = train("no_grad", "requires_grad")
    assert all(identical(first, train(stop, "requires_grad")) for stop in stops)
    assert all(identical(first, train("no_grad", freeze)) for freeze in SOUND_FREEZES)


@pytest.mark.parametrize("freeze", SOUND_FREEZES)
def test_a_shared_encoder_is_trained_by_the_critic_loss_alone(freeze):
    agent = sharing(critic_freeze=freeze)
    agent.update(make_batch())
    before = weights(agent.critic)
    agent.update_actor(make_batch(seed=1))
    assert identical(before, weights(agent.critic))
    own = [each.clone() for each in own_parameters(agent.actor, agent.critic)]
    agent.update_critic(make_batch(seed=2))
    assert identical(own, own_parameters(agent.actor, agent.critic))
    assert not identical(before, weights(agent.critic))


def test_an_actor_loss_that_would_move_the_shared_encoder_is_refused():
    with pytest.raises(InputError, match=r"the actor's loss would move them.*features\.detach\(\)"):
        sharing(detach=False)


def test_manual_edits_would_take_a_shared_encoders_gradient():
    with pytest.raises(InputError, match=r"gradient_stop=manual: .* share"):
        sharing(gradient_stop="manual", bootstrap_actor="online")


@pytest.mark.parametrize("options", [{}, {"normalize_observations": True}])
def test_compiled_joint_audited_saved_and_loaded(interpreted, tmp_path, options):
    plain, compiled = sharing(**options), sharing(**options)
    update = CompiledUpdate(compiled)
    for seed in range(4):
        plain.update(make_batch(seed=seed)), update(make_batch(seed=seed))
    for one, other in zip(weights(*plain.modules().values()), weights(*compiled.modules().values()), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    plain.save(tmp_path / "agent.safetensors")
    with pytest.raises(
        InputError, match=r"the checkpoint's actor is a network of your own: pass it, load\(path, actor=…"
    ):
        DDPG.load(tmp_path / "agent.safetensors")
    encoder = nn.Linear(3, 16)
    mine = {"actor": MyActor(encoder=encoder), "critic": MyCritic(encoder=encoder)}
    loaded = DDPG.load(tmp_path / "agent.safetensors", **mine)
    plain.update(make_batch(seed=9)), loaded.update(make_batch(seed=9))
    assert identical(weights(*plain.modules().values()), weights(*loaded.modules().values()))
    with GradientFlow(plain.modules()) as flow:
        plain.update(make_batch())
    assert not [finding for finding in flow.findings() if finding.severity == "fault"]


@pytest.mark.parametrize(
    ("networks", "sentence"),
    [
        ({"actor": "MyActor"}, "actor: cannot be made for the two spaces: TypeError"),
        ({"actor": lambda *_: 3}, "actor=3: must be a torch.nn.Module, or make one"),
        ({"actor": nn.Flatten()}, "actor: has no parameters"),
        ({"actor": nn.Linear(3, 5)}, r"actor: returns \(100, 5\) for 100 observations; it must be \(100, 2\)"),
        ({"actor": nn.Linear(4, 2)}, r"actor: fails with inputs of shape \(100, 3\): RuntimeError"),
        ({"actor": beyond()}, "actor: returns actions beyond their bounds, Box.*end it with a tanh"),
        ({"critic": nn.Linear(3, 1)}, r"critic: fails with inputs of shape \(100, 3\), \(100, 2\): TypeError"),
        (
            {"critic": nn.Bilinear(3, 2, 1)},
            r"critic: returns \(100, 1\) .* must be \(100,\): a value for each; squeeze",
        ),
        ({"actor": nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))}, "actor: has a BatchNorm1d"),
        ({"critic": nn.Sequential(nn.Linear(3, 2), nn.Dropout())}, "critic: has a Dropout"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_network_for_the_spaces_is_refused(networks, sentence):
    with pytest.raises(InputError, match=sentence):
        DDPG(OBSERVATIONS, ACTIONS, **networks)


def test_every_stop_and_freeze_has_been_tried():
    assert set(GradientStop.options) == {*SOUND_STOPS, "none"} and set(CriticFreeze.options) == {*SOUND_FREEZES, "none"}


def test_convolutions_see_images_from_0_to_1():
    class Convolutional(nn.Module):
        def __init__(self, observation_space, action_space):
            super().__init__()
            self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 2))
            self.greatest = 0.0

        def forward(self, observations):
            self.greatest = max(self.greatest, float(observations.max()))
            return torch.tanh(self.layers(observations.unflatten(1, (8, 8, 3)).permute(0, 3, 1, 2)))

    agent = DDPG(Box(0, 255, (8, 8, 3), np.uint8), ACTIONS, actor=Convolutional)
    assert agent.act(np.full((8, 8, 3), 255, np.uint8)).shape == (2,)
    assert agent.actor.network.greatest == 1
