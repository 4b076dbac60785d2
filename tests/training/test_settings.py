import json

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from small_runs import SMALL, small

from ddpg import InputError
from ddpg.gradient_stop import EditGradient
from ddpg.training.settings import Settings, flat


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sed": 3}, "sed=3: there is no such setting; did you mean seed?"),
        ({"sigma": 3}, r"sigma=3: there is no such setting; Valid: exploration\.sigma\."),
        ({"interval": 9}, r"interval=9: .*; did you mean video\.interval\? Valid: checkpoint\.interval, eval"),
        ({"agent__actor_rl": 1}, r"agent\.actor_rl=1: there is no such setting; did you mean agent\.actor_lr\?"),
        ({"agent__actor_lr": -0.1}, r"agent\.actor_lr=-0\.1: must be greater than 0; 0\.001 is valid"),
        ({"agent__actor_lr": float("inf")}, r"agent\.actor_lr=inf: must be a finite number"),
        ({"agent__discount": 1.2}, r"agent\.discount=1\.2: must be less than or equal to 1; the nearest .* is 1\."),
        ({"agent__polyak": 0}, r"agent\.polyak=0: must be greater than 0; 0\.005 is valid"),
        ({"agent__hidden_sizes": []}, r"agent\.hidden_sizes=\[\]: .*\[256, 256\] is valid"),
        ({"agent__hidden_sizes": [8, 0]}, r"agent\.hidden_sizes\.1=0: must be greater than or equal to 1"),
        ({"agent__bootstrap_actor": "targe"}, "no such choice; did you mean target?"),
        ({"agent__action_layer": 4}, r"agent\.action_layer=4: .* layers 0 to 2; the nearest valid value is 2"),
        ({"agent__optimizer": "Adm"}, r"agent\.optimizer=Adm: .* did you mean Adam"),
        ({"agent__optimizer_options": {"beta": 1}}, r"agent\.optimizer_options\.beta: Adam has no such option.*betas"),
        ({"gradient_stop": {"name": "detatch"}}, "gradient_stop=detatch: no such option; did you mean detach?"),
        (
            {"gradient_stop": {"name": "no_grad", "scale": 1}},
            r"gradient_stop\.scale: gradient_stop no_grad has no such",
        ),
        ({"gradient_stop": {"name": "manual", "every": 0}}, r"gradient_stop\.every=0: must be"),
        ({"critic_freeze": {"name": "input"}}, "critic_freeze=input: no such option; did you mean inputs?"),
        ({"exploration": {"name": "gaussian", "sigma": -1}}, r"exploration\.sigma=-1: must be"),
        ({"batch_size": 151}, "batch_size=151: larger .*; the nearest valid value is 150"),
        ({"total_steps": 0}, "total_steps=0: must be .*; the nearest valid value is 1"),
        ({"seed": 1.5}, "seed=1.5: must be a valid integer"),
        ({"seed": True}, "seed=True: must be a valid integer"),
        ({"gradient_steps_per_step": -1}, "gradient_steps_per_step=-1: must be .*; the nearest valid value is 0"),
        ({"env__kwargs": {"g": float("nan")}}, r"env\.kwargs\.g=nan: must be finite"),
        ({"env__num_envs": "8"}, r"env\.num_envs=8: must be a valid integer"),
    ],
    ids=str,
)
def test_a_mistake_is_named_with_its_rule_and_the_nearest_valid_choice(changes, sentence):
    with pytest.raises(InputError, match=sentence) as raised:
        small(**changes)
    assert "\n" not in str(raised.value)


def test_a_choice_goes_by_a_name_a_mapping_or_an_instance():
    manual = {"name": "manual", "scale": 0.5, "every": 1}
    for choice in (manual, {"name": "manual", "scale": 0.5}, EditGradient(scale=0.5)):
        assert small(gradient_stop=choice).gradient_stop == manual
    assert small(exploration="gaussian") == small()
    with pytest.raises(InputError, match=r"^exploration=3: expected a name, or an instance of Exploration\."):
        small(exploration=3)


def test_every_mistake_is_named_at_once():
    with pytest.raises(InputError) as raised:
        small(seed=-1, batch_size=0, env__num_envs=0)
    assert [line.split("=")[0] for line in str(raised.value).splitlines()] == ["seed", "batch_size", "env.num_envs"]


def test_the_digest_tells_runs_apart():
    assert small().digest() == small().digest() != small(seed=1).digest()


def test_valid_keys_are_those_that_can_be_typed():
    assert {"seed", "agent.actor_lr", "gradient_stop.scale", "exploration.theta", "resume"} <= set(
        Settings.valid_keys()
    )


def test_flat_settings_go_by_the_keys_of_the_command_line():
    nested = {
        "env": {"id": "A-v0", "kwargs": {"x": 1}},
        "agent": {"hidden_sizes": [8, 8], "optimizer_options": {}},
        "gradient_stop": {"name": "manual", "scale": 0.5},
        "threads": None,
    }
    assert flat(nested) == {
        "env.id": "A-v0",
        "env.kwargs.x": 1,
        "agent.hidden_sizes": "[8, 8]",
        "gradient_stop": "manual",
        "gradient_stop.scale": 0.5,
        "threads": None,
    }


def places(values, prefix=()):
    """Where in the settings a value stands, sections included."""
    for key, value in values.items():
        yield (*prefix, key)
        if isinstance(value, dict):
            yield from places(value, (*prefix, key))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@examples(max_examples=600, deadline=None)
@given(place=st.sampled_from(sorted(places(SMALL))), value=ANYTHING)
def test_any_value_in_any_place_is_taken_as_it_is_or_refused_in_a_sentence(place, value):
    values = json.loads(json.dumps(SMALL))
    *sections, name = place
    section = values
    for each in sections:
        section = section[each]
    section[name] = value
    try:
        settings = Settings.check(values)
    except InputError:
        return
    dumped = settings.model_dump()
    assert Settings.check(json.loads(json.dumps(dumped))) == settings
    assert Settings.check(json.loads(json.dumps(dumped))).digest() == settings.digest()


@examples(max_examples=200, deadline=None)
@given(key=st.text(max_size=15), value=ANYTHING)
def test_a_key_that_there_is_not_is_refused_with_the_nearest_that_there_is(key, value):
    if key in SMALL:
        return
    with pytest.raises(InputError, match="no such setting"):
        Settings.check({**SMALL, key: value})
