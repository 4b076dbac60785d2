"""The configuration that Hydra composes: where it lies, its defaults, and the help page made from it."""

import hashlib
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from pydantic import TypeAdapter

from ddpg.base.options import Options
from ddpg.command_line import hints
from ddpg.training import run_folder
from ddpg.training.settings import FAMILIES, Settings, defaults

# Beside the package where it is installed, beside its folder in a checkout.
CONF = next(path for path in (Path(__file__).parents[1] / "conf", Path(__file__).parents[2] / "conf") if path.is_dir())
_WIDTH, _KEYS = 80, 32  # columns of the help page, and of the keys in it


def register() -> None:
    """Tell Hydra the defaults of the settings, and OmegaConf the resolvers of conf/train.yaml."""
    ConfigStore.instance().store(name="settings", node=defaults())
    resolvers: dict[str, Callable[..., Any]] = {
        "short": _short,
        "strategy": run_folder.strategy,
        "program": hints.program,
        "settings_help": lambda *, _root_: settings_help(_root_),
    }
    for name, resolver in resolvers.items():
        OmegaConf.register_new_resolver(name, resolver, replace=True)


def settings_help(config: DictConfig) -> str:
    """Return a line or more for each setting: its key, what it is, and its value in the configuration."""
    lines = [*_lines(Settings, "", config)]
    for family in FAMILIES:
        for name, option in family.options.items():
            values = option().as_data()
            for setting, annotation in option.settings().items():
                said = TypeAdapter(annotation).json_schema()["description"]
                where = f"with {family.kind}={name}: " if name != config[family.kind].name else ""
                lines += _line(f"{family.kind}.{setting}", f"{where}{said}", values[setting])
    return "\n".join(lines)


def _lines(model: type[Options], prefix: str, config: DictConfig) -> list[str]:
    lines: list[str] = []
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Options):
            lines += _lines(field.annotation, f"{name}.", config[name])
        elif field.description:
            lines += _line(f"{prefix}{name}", field.description, config[name])
    return lines


def _line(key: str, said: str, value: object) -> list[str]:
    shown = "null" if value is None else str(value).lower() if isinstance(value, bool) else value
    text = textwrap.wrap(f"{said} [{shown}]", _WIDTH - _KEYS, break_on_hyphens=False)
    return [f"  {key if number == 0 else '':{_KEYS - 2}}{line}" for number, line in enumerate(text)]


def _short(name: str) -> str:
    """Return a name that a folder may have: 255 bytes at most, of which a sweep's overrides may take more."""
    return name if len(name) <= 150 else f"{name[:130]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
