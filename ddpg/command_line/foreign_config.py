"""Config files from elsewhere, which Hydra takes by `--config-dir` and its like: they are data.

Hydra instantiates what the section `hydra` of a config names (callbacks, launcher, sweeper, log handlers) and sets
environment variables from it. A file from elsewhere may set nothing there but folders and the values of a sweep; what a
person types on the command line is left to Hydra.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from omegaconf import DictConfig, OmegaConf

from ddpg.base.errors import InputError, require

_HARMLESS = ("run.", "sweep.", "sweeper.params", "overrides.", "job.", "runtime.", "searchpath")
_HARMFUL = ("job.env_",)  # among them: environment variables of processes to come
_LARGEST = 2**20  # bytes
_DEEPEST = 40


def check(arguments: list[str], conf: Path) -> None:
    """Refuse config files from elsewhere that are more than data, before Hydra acts on them.

    Args:
        arguments: of the command line.
        conf: the package's own config folder.

    Raises:
        InputError: naming the file or the key.
    """
    folders = _folders(arguments)
    if not folders:
        return
    parsed = get_args_parser().parse_args(arguments)
    others = [each for each in parsed.overrides if not _is_search_path(each)]
    for folder in folders:
        require(folder.is_dir(), f"{folder}: there is no such folder; give one of config files.")
        for path in sorted(folder.rglob("*.yaml")):
            _check_file(path)
    primary = Path(parsed.config_path).absolute() if parsed.config_path else conf
    foreign = f"hydra.searchpath=[{','.join(f'file://{folder}' for folder in folders)}]"
    composed = _hydra_section(primary, parsed.config_name or "train", [*others, foreign])
    own = _hydra_section(conf, "train", [each for each in others if each.lstrip("+~").startswith("hydra")])
    for key, value in composed.items():
        harmless = key.startswith(_HARMLESS) and not key.startswith(_HARMFUL)
        require(
            harmless or own.get(key) == value,
            f"hydra.{key}={value}: set by a file in {', '.join(map(str, folders))}. A file from elsewhere may set "
            "nothing of Hydra's but folders and the values of a sweep; if you trust it, type it on the command line.",
        )


def check_module(env_id: str, arguments: list[str]) -> None:
    """Raise `InputError` if an environment's module may be named by a file from elsewhere, and was not typed."""
    require(
        ":" not in env_id or any(env_id in each for each in arguments) or not _folders(arguments),
        f"env.id={env_id}: is of a module that would have to be imported, and files from elsewhere are in use; if you "
        f"trust it, type env.id={env_id}.",
    )


def _folders(arguments: list[str]) -> list[Path]:
    """Where config files from elsewhere lie."""
    parsed = get_args_parser().parse_args(arguments)
    places = [each for each in (parsed.config_dir, parsed.config_path) if each]
    searched = filter(_is_search_path, parsed.overrides)
    places += [place for each in searched for place in each.partition("=")[2].strip("[]").split(",")]
    return [Path(place.strip(" '\"").removeprefix("file://")).absolute() for place in places]


def _is_search_path(override: str) -> bool:
    return override.lstrip("+~").startswith("hydra.searchpath=")


def _check_file(path: Path) -> None:
    """Raise `InputError` if the file is larger, deeper or of more repetition than a config has reason to be."""
    size = path.stat().st_size
    require(size <= _LARGEST, f"{path}: {size:,} bytes; a config file may have {_LARGEST:,}.")
    depth = 0
    try:
        for event in yaml.parse(path.read_text(), yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            require(depth <= _DEEPEST, f"{path}: nested deeper than {_DEEPEST} levels, which no setting is.")
            require(not isinstance(event, yaml.AliasEvent), f"{path}: YAML aliases (*…) are not read; write it out.")
            require(getattr(event, "tag", None) is None, f"{path}: YAML tags (!…) are not read; leave it out.")
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: no YAML ({' '.join(str(error).split())[:100]}).") from error


def _hydra_section(folder: Path, name: str, overrides: list[str]) -> dict[str, Any]:
    """The section `hydra` of a composed config, flat and unresolved; composing it executes nothing."""
    with initialize_config_dir(str(folder), version_base="1.3"):
        config = compose(name, overrides, return_hydra_config=True)
    assert isinstance(config, DictConfig)
    values = OmegaConf.to_container(config.hydra, resolve=False)
    assert isinstance(values, dict)
    return dict(_flat(values, ""))


def _flat(values: Mapping[Any, Any], prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found += _flat(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value))
    return found
