"""The configuration that Hydra composes, and the help page made from it."""

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from ddpg.command_line.config import CONF, register, settings_help
from ddpg.training.settings import Settings


@pytest.fixture
def composed():
    """Composes the configuration with overrides."""

    def of(*overrides):
        GlobalHydra.instance().clear()
        register()
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return compose("train", list(overrides))

    return of


@pytest.mark.parametrize(
    "overrides", [[], ["experiment=paper"], ["env=lunar_lander"], ["experiment=mujoco", "env=ant"]]
)
def test_every_setting_is_composed_and_valid(composed, overrides):
    values = OmegaConf.to_container(composed(*overrides))
    del values["resume"]
    settings = Settings.check(values)
    assert set(values) == set(settings.model_dump())


def test_the_command_and_the_settings_have_the_same_defaults(composed):
    values = OmegaConf.to_container(composed())
    del values["resume"]
    assert Settings.check(values) == Settings.check({})


def test_the_help_has_each_setting_with_its_value_and_fits_a_terminal(composed):
    lines = settings_help(composed("agent.polyak=0.25", "gradient_stop=manual")).splitlines()
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    assert "agent.polyak τ of the soft target update θ' ← (1−τ)θ' + τθ [0.25]" in text
    assert "gradient_stop.scale factor of the gradient; 0 drops it [0.0]" in text
    assert "with exploration=ornstein_uhlenbeck: rate of return to 0" in text


def test_a_folders_name_is_not_too_long(composed):
    resolve = OmegaConf.create({"long": "${short:" + "x" * 300 + "}"})
    assert len(resolve.long) < 150
