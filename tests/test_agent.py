"""The updates against numbers worked out independently, against another implementation, and against each other."""

import copy
import inspect
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from conftest import ACTIONS, OBSERVATIONS, identical, make_agent, make_batch, weights
from gymnasium.spaces import Box, Dict, Discrete
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from test_critic_freeze import SOUND as SOUND_FREEZES
from test_gradient_stop import SOUND as SOUND_STOPS
from torch import nn

from ddpg import DDPG, Actor, Batch, GaussianNoise, InputError, OrnsteinUhlenbeckNoise, ReplayBuffer
from ddpg.command_line.config import CONF, register
from ddpg.critic_freeze import CriticFreeze
from ddpg.exploration import Exploration
from ddpg.gradient_stop import EditGradient, GradientStop
from ddpg.saving import checkpoint


def train(updates: int, dtype: torch.dtype = torch.float32, **options) -> list[torch.Tensor]:
    agent = make_agent(**options)
    for seed in range(updates):
        agent.update(make_batch(seed=seed))
    return weights(*agent.modules().values())


@pytest.fixture(scope="module")
def references() -> dict[str, list[torch.Tensor]]:
    torch.set_num_threads(1)
    return {actor: train(300, bootstrap_actor=actor) for actor in ("target", "online")}


@pytest.mark.parametrize("bootstrap_actor", ["target", "online"])
@pytest.mark.parametrize(("stop", "freeze"), list(product(SOUND_STOPS, SOUND_FREEZES)))
def test_all_sound_stops_and_freezes_are_one_algorithm(stop, freeze, bootstrap_actor, references):
    """Promise 2: the same weights, bit by bit, after 300 updates."""
    ended = train(300, gradient_stop=stop, critic_freeze=freeze, bootstrap_actor=bootstrap_actor)
    assert identical(ended, references[bootstrap_actor])


@pytest.mark.parametrize("control", [{"gradient_stop": "none"}, {"critic_freeze": "none"}], ids=str)
def test_the_controls_are_another_algorithm(control):
    assert not identical(train(10, **control), train(10))


@pytest.mark.filterwarnings("ignore")  # of packages that stable-baselines3 imports
def test_stable_baselines3_agrees():
    """The same weights, batches and Adam settings: 20 updates end within 1e-10 of each other, in double precision."""
    import stable_baselines3
    from stable_baselines3.common.logger import configure
    from stable_baselines3.common.type_aliases import ReplayBufferSamples

    observation_space = Box(-np.inf, np.inf, (3,), np.float32)
    action_space = Box(-2.0, 2.0, (1,), np.float32)
    agent = DDPG(observation_space, action_space, hidden_sizes=(32, 32), polyak=0.005, seed=7)
    other = stable_baselines3.DDPG(
        "MlpPolicy", "Pendulum-v1", learning_rate=1e-3, tau=0.005, gamma=0.99, policy_kwargs={"net_arch": [32, 32]}
    )
    other.set_logger(configure(None, []))
    other.policy.double()
    for network in (other.actor, other.actor_target, other.critic, other.critic_target):
        network.extract_features = lambda observations, extractor: observations  # its own casts to single precision
    pairs = [
        (agent.actor, other.actor.mu),
        (agent.critic, other.critic.qf0),
        (agent.target_actor, other.actor_target.mu),
        (agent.target_critic, other.critic_target.qf0),
    ]
    with torch.no_grad():
        for ours, theirs in pairs:
            for one, two in zip(ours.double().parameters(), theirs.parameters(), strict=True):
                two.copy_(one)
    before = weights(*agent.modules().values())

    generator = np.random.default_rng(0)
    for _ in range(20):
        batch = Batch(
            *(
                torch.from_numpy(array)
                for array in (
                    generator.standard_normal((64, 3)),
                    generator.uniform(-2, 2, (64, 1)),
                    generator.standard_normal(64),
                    generator.standard_normal((64, 3)),
                    (generator.random(64) < 0.3).astype(np.float64),
                )
            )
        )
        agent.update(batch)
        sample = ReplayBufferSamples(
            observations=batch.observations,
            actions=batch.actions / 2,
            next_observations=batch.next_observations,
            dones=batch.terminations[:, None],
            rewards=batch.rewards[:, None],
        )
        other.replay_buffer.sample = lambda *args, sample=sample, **kwargs: sample
        other.train(gradient_steps=1, batch_size=64)

    for ours, theirs in pairs:
        for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert (one - two).abs().max() < 1e-10
    assert not identical(before, weights(*agent.modules().values()))


def test_td_target_by_hand():
    """γ = 0.9, Q' = 10 everywhere: y = r + 9 after a step or a truncation, y = r after a termination."""
    agent = make_agent(discount=0.9)
    with torch.no_grad():
        for parameter in agent.target_critic.parameters():
            parameter.zero_()
        agent.target_critic.layers[-1].bias.fill_(10.0)
    batch = make_batch(rows=2)._replace(rewards=torch.tensor([1.5, 1.5]), terminations=torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(agent.td_target(batch), torch.tensor([10.5, 1.5]))


@pytest.mark.parametrize("bootstrap_actor", ["target", "online"])
def test_losses_against_numpy(bootstrap_actor):
    """Both losses recomputed from the parameters in numpy, the TD target with the actor that shall bootstrap."""
    agent, batch = make_agent(bootstrap_actor=bootstrap_actor, discount=0.8), make_batch(rows=5)
    for parameter in agent.target_actor.parameters():
        parameter.data.mul_(-0.5)
    low, high = ACTIONS.low.astype(float), ACTIONS.high.astype(float)

    def layers(module, x):
        *hidden, (w, b) = zip(*[(p.detach().double().numpy() for p in module.parameters())] * 2, strict=True)
        for weight, bias in hidden:
            x = np.maximum(x @ weight.T + bias, 0)
        return x @ w.T + b

    def act(module, s):
        return low + (np.tanh(layers(module, s)) + 1) / 2 * (high - low)

    def value(module, s, a):
        return layers(module, np.concatenate([s, 2 * (a - low) / (high - low) - 1], axis=1))[:, 0]

    s, a, r, s2, ended = (tensor.double().numpy() for tensor in batch)
    policy = {"target": agent.target_actor, "online": agent.actor}[bootstrap_actor]
    y = r + 0.8 * (1 - ended) * value(agent.target_critic, s2, act(policy, s2))
    critic_loss = np.mean((value(agent.critic, s, a) - y) ** 2)
    assert agent.update_critic(batch)["losses/critic"].item() == pytest.approx(critic_loss, rel=1e-5)
    actor_loss = -np.mean(value(agent.critic, s, act(agent.actor, s)))
    assert agent.update_actor(batch)["losses/actor"].item() == pytest.approx(actor_loss, rel=1e-5)


def test_soft_target_update_by_hand():
    """With polyak 0.25, target 2, online 6: 0.75 · 2 + 0.25 · 6 = 3."""
    agent = make_agent(polyak=0.25)
    for name, module in agent.modules().items():
        for parameter in module.parameters():
            parameter.data.fill_(2.0 if name.startswith("target") else 6.0)
    agent.update_targets()
    for name, module in agent.modules().items():
        for parameter in module.parameters():
            assert (parameter == (3.0 if name.startswith("target") else 6.0)).all()


def test_update_is_the_three_steps_in_turn_and_measures_under_the_tags():
    one, other = make_agent(), make_agent()
    batch = make_batch()
    measured = one.update(batch)
    separate = other.update_critic(batch) | other.update_actor(batch)
    other.update_targets()
    assert identical(weights(*one.modules().values()), weights(*other.modules().values()))
    assert measured == separate
    assert measured.keys() == {"losses/critic", "losses/actor", "values/q_mean"}
    assert all(value.shape == () and not value.requires_grad for value in measured.values())


def test_weight_decay_is_the_critics_alone():
    agent = make_agent(gradient_stop="none", critic_weight_decay=0.01)
    decays = {id(p): group["weight_decay"] for group in agent.critic_optimizer.param_groups for p in group["params"]}
    assert {decays[id(each)] for each in agent.critic.parameters()} == {0.01}
    assert {decays[id(each)] for each in agent.target_actor.parameters()} == {0}


def test_the_seed_decides_the_weights_and_touches_nobody_elses_random_numbers():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    one = make_agent(seed=5)
    assert torch.equal(torch.rand(3), expected)
    assert identical(weights(one.actor, one.critic), weights((again := make_agent(seed=5)).actor, again.critic))
    assert not identical(weights(one.actor), weights(make_agent(seed=6).actor))


@pytest.mark.parametrize("explore", [False, True])
@pytest.mark.parametrize("rows", [(), (1,), (7,)])
@pytest.mark.parametrize(
    ("observation_space", "action_space"),
    [
        (Box(-1, 1, (3,)), Box(-2, 2, (1,))),
        (Box(0, 255, (2, 4, 3), np.uint8), Box(-1, 3, (2, 2), np.float64)),
        (Box(-1e9, 1e9, (), np.float64), Box(np.float32(1e-6), np.float32(2e-6), ())),
        (Box(-1, 1, (5,), np.float64), Box(-3e38, 3e38, (2,))),
        (Box(-1, 1, (5,)), Box(np.float32([0.3, -7.0]), np.float32([0.3, -6.9]))),
    ],
    ids=str,
)
def test_act_takes_a_row_or_rows_of_any_box(observation_space, action_space, rows, explore):
    agent = DDPG(observation_space, action_space, hidden_sizes=(8,), exploration=GaussianNoise(sigma=2.0))
    observation_space.seed(0)
    samples = [observation_space.sample() for _ in range(max(1, *rows, 1))]
    actions = agent.act(np.array(samples).reshape((*rows, *observation_space.shape)), explore=explore)
    assert actions.shape == (*rows, *action_space.shape)
    assert actions.dtype == action_space.dtype
    assert np.isfinite(actions).all()
    assert all(np.asarray(each) in action_space for each in actions.reshape(-1, *action_space.shape))


def test_noise_is_in_units_of_half_the_action_range():
    agent = make_agent(exploration=GaussianNoise(sigma=0.05))
    observations = np.zeros((20_000, 3))
    noise = agent.act(observations, explore=True) - agent.act(observations)
    np.testing.assert_allclose(noise.std(axis=0), [0.05 * 1.5, 0.05 * 3.0], rtol=0.03)


def test_learning_in_double_precision():
    agent = make_agent()
    for module in agent.modules().values():
        module.double()
    assert agent.update(make_batch(dtype=torch.float64))["losses/critic"].dtype == torch.float64
    assert agent.act(np.zeros(3)).dtype == np.float32


@pytest.mark.parametrize(
    ("observation_space", "action_space", "sentence"),
    [
        (OBSERVATIONS, Discrete(3), r"action space Discrete\(3\).*only a Box"),
        (Dict(a=OBSERVATIONS), ACTIONS, r"observation space Dict.*only a Box"),
        (OBSERVATIONS, Box(-np.inf, 1, (2,)), "action space .* is unbounded.*TransformAction"),
        (OBSERVATIONS, Box(-1e300, 1e300, (2,), np.float64), "too wide for float32"),
        (OBSERVATIONS, Box(0, 3, (2,), np.int64), "integer type.*float32"),
        (Box(0, 1, (0,)), ACTIONS, "observation space .* no elements"),
    ],
)
def test_spaces_that_ddpg_does_not_take_are_refused_in_a_sentence(observation_space, action_space, sentence):
    with pytest.raises(InputError, match=sentence):
        DDPG(observation_space, action_space)


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ({"gradient_stop": "detatch"}, "gradient_stop=detatch.*did you mean detach"),
        ({"critic_freeze": "requires_gradient"}, "critic_freeze=.*did you mean requires_grad"),
        ({"gradient_stop": 3}, "gradient_stop=3: expected a name"),
        ({"bootstrap_actor": "onlin"}, "bootstrap_actor=onlin.*online"),
        ({"hidden_sizes": ()}, "hidden_sizes"),
        ({"hidden_sizes": 64}, r"hidden_sizes=64: must be a valid list; \[256, 256\] is valid"),
        ({"hidden_sizes": (8.0,)}, r"hidden_sizes\.0=8.0: must be a valid integer; 8 is valid"),
        (
            {"hidden_sizes": (0,)},
            r"hidden_sizes\.0=0: must be greater than or equal to 1; the nearest valid value is 1",
        ),
        ({"hidden_sizes": (10**7, 10**7)}, r"hidden_sizes=\[10000000, 10000000\]: too large for this machine"),
        ({"actor_rl": 1.0}, "actor_rl=1.0: there is no such setting; did you mean actor_lr"),
        ({"actor_lr": -1.0}, "actor_lr=-1.0: must be greater than 0; 0.001 is valid"),
        ({"actor_lr": "1e-3"}, "actor_lr=1e-3: must be a valid number"),
        ({"critic_lr": float("nan")}, "critic_lr=nan: must be a finite number"),
        ({"discount": 1.5}, "discount=1.5: must be less than or equal to 1; the nearest valid value is 1"),
        ({"polyak": 0.0}, "polyak=0.0: must be greater than 0; 0.005 is valid"),
        ({"final_layer_bound": -1}, "final_layer_bound=-1: must be"),
        ({"seed": -1}, "seed=-1: must be greater than or equal to 0"),
        ({"optimizer": "Adm"}, "optimizer=Adm.*did you mean Adam"),
        ({"device": "meta"}, "device=meta: not usable"),
        ({"critic_weight_decay": -1}, "critic_weight_decay=-1"),
        ({"action_layer": 3}, "action_layer=3.*0 to 2"),
        ({"exploration": "pink"}, "exploration=pink"),
        ({"device": "quantum"}, "device=quantum.*cpu"),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused_in_a_sentence(option, sentence):
    with pytest.raises(InputError, match=sentence):
        make_agent(**option)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rewards", torch.zeros(16, 1)),  # would broadcast to (16, 16) without a word
        ("observations", torch.zeros(16, 4)),
        ("actions", torch.zeros(15, 2)),
        ("terminations", torch.zeros(16, dtype=torch.bool)),
        ("next_observations", torch.zeros(16, 3, dtype=torch.float64)),
    ],
)
@pytest.mark.parametrize("update", ["update_critic", "update_actor"])
def test_a_batch_that_does_not_fit_is_refused_before_anything_moves(update, field, value):
    agent = make_agent()
    before = weights(*agent.modules().values())
    with pytest.raises(InputError, match=rf"batch\.{field}: .*expected"):
        getattr(agent, update)(make_batch()._replace(**{field: value}))
    assert identical(before, weights(*agent.modules().values()))


def test_an_observation_of_another_shape_is_refused():
    with pytest.raises(InputError, match=r"observation of shape \(4,\): expected \(3,\)"):
        make_agent().act(np.zeros(4))


def test_a_loaded_agent_goes_on_as_the_saved_one(tmp_path):
    agent = make_agent(
        gradient_stop={"name": "manual", "scale": 0.5, "every": 2},
        critic_freeze="functional",
        exploration="ornstein_uhlenbeck",
        optimizer=torch.optim.AdamW,
        critic_weight_decay=0.01,
        final_layer_bound=3e-3,
        action_layer=1,
        seed=3,
    )
    for seed in range(5):
        agent.update(make_batch(seed=seed))
    agent.act(np.zeros(3), explore=True)
    agent.save(tmp_path / "agent.safetensors")
    loaded = DDPG.load(tmp_path / "agent.safetensors")
    assert loaded.gradient_stop == agent.gradient_stop
    assert loaded.observation_space == agent.observation_space
    assert loaded.action_space == agent.action_space
    for each in (agent, loaded):
        for seed in range(5, 10):
            each.update(make_batch(seed=seed))
    assert identical(weights(*agent.modules().values()), weights(*loaded.modules().values()))
    np.testing.assert_array_equal(agent.act(np.ones(3), explore=True), loaded.act(np.ones(3), explore=True))


def test_numbers_of_numpys_are_kept_as_plain_ones(tmp_path):
    agent = make_agent(
        hidden_sizes=np.array([8, 8]),
        actor_lr=np.float64(1e-3),
        discount=np.float32(0.5),
        seed=np.int64(3),
        gradient_stop=EditGradient(scale=np.float32(0.5), every=np.int64(2)),
        exploration=GaussianNoise(sigma=np.float64(0.1)),
    )
    agent.save(tmp_path / "agent.safetensors")
    assert DDPG.load(tmp_path / "agent.safetensors").gradient_stop == EditGradient(scale=0.5, every=2)


def test_moments_that_do_not_fit_their_parameters_are_refused(tmp_path):
    """A fused kernel would run past the end of a moment that is too short."""
    agent = make_agent()
    agent.update(make_batch())
    agent.save(tmp_path / "agent.safetensors")
    content = checkpoint.load(tmp_path / "agent.safetensors")
    content["agent"]["actor_optimizer"]["state"]["2"]["exp_avg"] = torch.zeros(1)
    checkpoint.save(tmp_path / "agent.safetensors", content)
    with pytest.raises(InputError, match=r"optimizer state exp_avg of shape \(1,\)"):
        DDPG.load(tmp_path / "agent.safetensors")


def test_another_optimizer_starts_without_moments(tmp_path):
    agent = make_agent()
    agent.update(make_batch())
    agent.save(tmp_path / "agent.safetensors")
    for optimizer in ("SGD", partial(torch.optim.Adam, amsgrad=True)):
        DDPG.load(tmp_path / "agent.safetensors", optimizer=optimizer).update(make_batch())


@pytest.mark.parametrize("saved", ["none", "no_grad", "optimizer"])
@pytest.mark.parametrize("loaded", ["none", "no_grad", "optimizer"])
def test_a_checkpoint_can_be_loaded_with_another_stop(saved, loaded, tmp_path):
    agent = make_agent(gradient_stop=saved)
    agent.update(make_batch())
    agent.save(tmp_path / "agent.safetensors")
    other = DDPG.load(tmp_path / "agent.safetensors", gradient_stop=loaded)
    assert identical(weights(*agent.modules().values()), weights(*other.modules().values()))
    other.update(make_batch())
    assert other.gradient_stop.name == loaded


def test_a_stop_of_the_users_own_has_to_be_given_again(tmp_path):
    @dataclass(frozen=True)
    class Mine(GradientStop):
        helper: Callable[[float], float] = abs

    make_agent(gradient_stop=Mine()).save(tmp_path / "agent.safetensors")
    with pytest.raises(InputError, match="gradient_stop is none of this project's own"):
        DDPG.load(tmp_path / "agent.safetensors")
    assert isinstance(DDPG.load(tmp_path / "agent.safetensors", gradient_stop=Mine()).gradient_stop, Mine)


def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path):
    make_agent().save(tmp_path / "agent.safetensors")
    with pytest.raises(InputError, match=r"size mismatch for hidden\.0\.bias: .*\[16\]\) from checkpoint.*\[4\]"):
        DDPG.load(tmp_path / "agent.safetensors", hidden_sizes=(4,))


def test_constructor_and_config_have_the_same_defaults():
    """Whoever trains from Python trains the same agent as whoever types a command."""
    GlobalHydra.instance().clear()
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = OmegaConf.to_container(compose("train"))
    chosen = {key: composed[key]["name"] for key in ("gradient_stop", "critic_freeze", "exploration")}
    agent, optimizer_options = composed["agent"], composed["agent"].pop("optimizer_options")
    assert optimizer_options is None
    assert agent.pop("actor") is agent.pop("critic") is None  # of the user's own: a name there, a module here
    parameters = inspect.signature(DDPG).parameters
    defaults = {name: each.default for name, each in parameters.items() if not name.endswith("_space")}
    assert defaults.pop("actor") is defaults.pop("critic") is None
    defaults["optimizer"] = defaults["optimizer"].__name__
    assert defaults == chosen | agent | {name: composed[name] for name in ("device", "seed")}


def test_every_option_is_explained():
    assert all(
        f"{name}: " in DDPG.__doc__ for name in inspect.signature(DDPG).parameters if name != "observation_space"
    )


@pytest.mark.parametrize("family", [GradientStop, CriticFreeze, Exploration])
def test_options_and_their_config_files_have_the_same_defaults(family):
    files = sorted((CONF / family.kind).glob("*.yaml"))
    assert [_config(path) for path in files] == [family.make(path.stem).as_data() for path in files]


def _config(path):
    return OmegaConf.to_container(OmegaConf.load(CONF / path))


NETWORKS = ["actor", "critic", "target_actor", "target_critic", "bootstrapping_actor"]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_not_replaced(name):
    agent = make_agent()
    network = getattr(agent, name)
    with pytest.raises(InputError, match=rf"agent\.{name} cannot be replaced: .*load_state_dict\(mine"):
        setattr(agent, name, copy.deepcopy(network))
    assert getattr(agent, name) is network
    setattr(agent, name, network)
    network.load_state_dict(make_agent(seed=1).actor.state_dict() if "actor" in name else network.state_dict())
    agent.update(make_batch())


@pytest.mark.parametrize(
    "replace",
    [
        lambda agent: setattr(agent.actor, "output", nn.Linear(16, 2)),
        lambda agent: setattr(agent.critic.layers[0], "weight", nn.Parameter(torch.zeros(16, 5))),
        lambda agent: agent.actor.output.__init__(16, 2),
        lambda agent: agent.critic.layers.append(nn.Linear(1, 1)),
        lambda agent: agent.target_actor.load_state_dict(agent.actor.state_dict(), assign=True),
        lambda agent: nn.utils.parametrizations.weight_norm(agent.actor.output),
    ],
    ids=["layer", "parameter", "made anew", "one more", "assigned", "parametrized"],
)
@pytest.mark.parametrize(
    "update",
    [
        lambda agent: agent.update_critic(make_batch()),
        lambda agent: agent.update_actor(make_batch()),
        lambda agent: agent.update_targets(),
    ],
    ids=["update_critic", "update_actor", "update_targets"],
)
def test_a_replaced_parameter_is_refused_before_anything_moves(replace, update):
    agent = make_agent()
    agent.update(make_batch())
    replace(agent)
    before = weights(*agent.modules().values())
    with pytest.raises(InputError, match=r"a parameter of the agent's networks was replaced"):
        update(agent)
    assert identical(before, weights(*agent.modules().values()))
    assert agent.critic_updates == 1


class Extendable(Actor):
    """An actor with a layer that has no parameters yet."""

    def __init__(self, *spaces):
        super().__init__(*spaces, hidden_sizes=[8])
        self.extra = nn.Sequential()
        self.last = nn.Identity()

    def forward(self, observations):
        return self.last(self.extra(super().forward(observations)))


@pytest.mark.parametrize("replaced", [True, False])
def test_a_layer_without_parameters_may_be_replaced_but_none_with_some_added(replaced):
    agent = make_agent(actor=Extendable)
    agent.update(make_batch())
    if replaced:
        agent.actor.last = nn.Hardtanh(-0.01, 0.01)
        agent.update(make_batch())
    agent.actor.extra.append(nn.Linear(2, 2))
    with pytest.raises(InputError, match=r"a parameter of the agent's networks was replaced"):
        agent.update(make_batch())


class Recreated(Actor):
    """An actor that a copy makes anew, so that nobody else's references lead to the copy's parameters."""

    def __init__(self, *spaces):
        super().__init__(*spaces, hidden_sizes=[8])
        self.spaces = spaces

    def __deepcopy__(self, memo):
        other = Recreated(*self.spaces)
        other.load_state_dict(self.state_dict())
        return other


def test_a_copied_agent_whose_optimizer_holds_other_parameters_than_its_actor_is_refused():
    agent = copy.deepcopy(make_agent(actor=Recreated))
    with pytest.raises(InputError, match=r"a parameter of the agent's networks was replaced"):
        agent.update(make_batch())


@pytest.mark.parametrize("bootstrap_actor", ["target", "online"])
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda agent: pickle.loads(pickle.dumps(agent))])
def test_a_copy_of_an_agent_goes_on_as_the_agent_and_apart_from_it(duplicate, bootstrap_actor):
    agent = make_agent(
        bootstrap_actor=bootstrap_actor, gradient_stop=EditGradient(every=2), exploration="ornstein_uhlenbeck"
    )
    for seed in range(3):
        agent.update(make_batch(seed=seed))
    agent.act(np.zeros(3), explore=True)
    other = duplicate(agent)
    before = weights(*other.modules().values())
    for seed in range(3, 6):
        agent.update(make_batch(seed=seed))
    assert identical(before, weights(*other.modules().values()))
    for seed in range(3, 6):
        other.update(make_batch(seed=seed))
    assert identical(weights(*agent.modules().values()), weights(*other.modules().values()))
    assert (agent.act(np.ones(3), explore=True) == other.act(np.ones(3), explore=True)).all()


def test_an_update_that_fails_is_not_counted():
    class Failing(EditGradient):
        broken = False

        def backward(self, loss, policy, update):
            if Failing.broken:
                raise ArithmeticError
            super().backward(loss, policy, update)

    agent, other = make_agent(gradient_stop=Failing(every=2)), make_agent(gradient_stop=EditGradient(every=2))
    for seed in range(6):
        Failing.broken = True
        with pytest.raises(ArithmeticError):
            agent.update(make_batch(seed=7))
        Failing.broken = False
        if seed == 3:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(agent.critic_optimizer, "step", lambda: 1 / 0)
                with pytest.raises(ZeroDivisionError):
                    agent.update(make_batch(seed=7))
        assert agent.critic_updates == seed
        agent.update(make_batch(seed=seed))
        other.update(make_batch(seed=seed))
    assert identical(weights(*agent.modules().values()), weights(*other.modules().values()))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, lambda: torch.set_grad_enabled(False)])
@pytest.mark.parametrize("update", ["update", "update_critic", "update_actor"])
def test_an_update_without_gradients_is_refused_before_anything_changes(mode, update):
    agent = make_agent()
    agent.update(make_batch())
    before, state = weights(*agent.modules().values()), copy.deepcopy(agent.critic_optimizer.state_dict()["state"])
    with mode(), pytest.raises(InputError, match=r"an update inside torch\.no_grad\(\) .* call it outside"):
        getattr(agent, update)(make_batch())
    assert identical(before, weights(*agent.modules().values()))
    assert agent.critic_updates == 1
    assert state[0]["step"] == agent.critic_optimizer.state_dict()["state"][0]["step"]


def test_agents_with_one_noise_instance_have_each_its_own_state():
    noise = OrnsteinUhlenbeckNoise()
    one, other = (make_agent(exploration=noise, seed=seed) for seed in range(2))
    alone = make_agent(exploration="ornstein_uhlenbeck", seed=0)
    for _ in range(3):
        other.act(np.zeros(3), explore=True)
        assert (one.act(np.zeros(3), explore=True) == alone.act(np.zeros(3), explore=True)).all()


@pytest.mark.parametrize("seed", [2**64, -1, 0.5, "1", True, None])
def test_a_seed_out_of_range_is_refused(seed):
    make_agent(seed=2**64 - 1)
    ReplayBuffer(2, OBSERVATIONS, ACTIONS, seed=2**64 - 1)
    with pytest.raises(InputError, match=f"seed={'null' if seed is None else seed}: must be"):
        make_agent(seed=seed)
    with pytest.raises(InputError, match=rf"seed={seed}: must be a whole number, 0 or more, {2**64 - 1} or less"):
        ReplayBuffer(2, OBSERVATIONS, ACTIONS, seed=seed)


def test_weights_are_drawn_on_the_cpu_and_no_other_device_is_seeded(monkeypatch):
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("another device was seeded"))
    with torch.device("meta"):
        agent = make_agent(seed=5)
    assert identical(weights(agent.actor, agent.critic), weights(make_agent(seed=5).actor, agent.critic))
    agent.update(make_batch())


@pytest.mark.parametrize("name", ["agent.pt", "agent", "agent.safetensors.bak"])
def test_a_file_is_called_what_it_is(name, tmp_path):
    with pytest.raises(InputError, match=rf"{name}: a checkpoint is .* safetensors format; call it .*\.safetensors"):
        make_agent().save(tmp_path / name)
    assert not list(tmp_path.iterdir())
