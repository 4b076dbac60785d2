"""What Hydra would not take from the command line, in a sentence."""

import re
from pathlib import Path
from typing import NoReturn

from hydra._internal.utils import get_args_parser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from ddpg.base.errors import InputError, choices, require
from ddpg.training.settings import Settings, option_settings

_GROUPS = ("gradient_stop", "critic_freeze", "agent", "exploration", "env", "experiment")
_NOT_OURS = ("hydra.", "hydra/", "env.kwargs.", "agent.optimizer_options.")  # whose keys others know


def check(arguments: list[str], conf: Path) -> None:
    """Refuse what Hydra would answer with its usage or a traceback, or would take for what is not meant.

    Args:
        arguments: of the command line.
        conf: the config folder, of which the options of a group are named.

    Raises:
        InputError: naming the word.
    """
    require("#" not in arguments, "#: this shell reads no comments (zsh: setopt interactive_comments); leave it out.")
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise InputError(f"{message}; settings are typed key=value, without dashes; --hydra-help shows Hydra's flags.")

    parser.error = refuse  # type: ignore[method-assign]
    parsed = parser.parse_args(arguments)
    commands = {"--run": parsed.run, "-m": parsed.multirun, "--cfg": parsed.cfg, "--info": parsed.info}
    given = [name for name, there in commands.items() if there]
    require(len(given) < 2, f"{' '.join(given)}: one of these at a time.")
    require(not parsed.resolve or bool(parsed.cfg), "--resolve: goes with --cfg; --cfg job --resolve for instance.")
    require(
        parsed.experimental_rerun is None,
        "--experimental-rerun: reads a pickle, which may hold any code; resume=<run> goes on with a run.",
    )
    for word in parsed.overrides:
        _check_override(word, conf)


def _check_override(word: str, conf: Path) -> None:
    key, equals, value = word.lstrip("+~").partition("=")
    if key.startswith(_NOT_OURS):
        return
    require(not word.startswith("~"), f"{word}: every setting is needed; give it another value instead.")
    require(bool(equals), f"{word}: a setting is typed key=value, without spaces; seed=3 for instance.")
    known = word.startswith("+") or key in Settings.valid_keys()  # a group of the user's own is added by +
    require(known, f"{word}: there is no such setting; {choices(Settings.valid_keys(), key)}")
    if key in _GROUPS:
        require(not word.startswith("+"), f"{word}: type {word.lstrip('+')}, without +.")
        valid = choices([path.stem for path in (conf / key).glob("*.yaml")], given="")
        one = value not in ("", "null") and not value.startswith("[")
        require(one or key == "experiment", f"{word}: has to be one of its options. {valid}")


def sentence(error: HydraException | OmegaConfBaseException) -> str:
    """Return what Hydra could not parse or compose, in its own words where they suffice."""
    if isinstance(error, MissingConfigException) and "/" in (error.missing_cfg_file or ""):
        return _missing_option(str(error.missing_cfg_file), list(error.options or []))
    for each in (error, error.__cause__):
        if isinstance(each, OverrideParseException):
            return (
                f"{each.override}: cannot be read; a list is typed 'key=[1,2]', a mapping 'key={{name: 1}}', other "
                "text \"key='…'\", each within the shell's quotes."
            )
    unknown = re.match(r"Could not override '(\w+)\.(\w+)'", str(error))
    if unknown and (owners := option_settings().get((unknown[1], unknown[2]))):
        group, setting = unknown.groups()
        return f"{group}.{setting}: the chosen {group} has no such setting; add {group}={' or '.join(owners)}."
    paragraph = str(error).partition("\n\n")[0]
    cause = str(error.__cause__).partition("\n")[0] if str(error).startswith("Error merging") else ""
    return "; ".join(filter(None, [*map(str.strip, paragraph.splitlines()), cause])).rstrip(".") + "."


def _missing_option(path: str, options: list[str]) -> str:
    group, _, name = path.removesuffix(".yaml").rpartition("/")
    package = name.partition("_")[0]
    if group == "hydra/launcher" and package in ("ray", "submitit"):
        return f"{group}={name}: a package that it needs is missing; pip install -e '.[{package}]' brings it."
    hint = " Any registered environment goes by env.id=<its id>." if group == "env" else ""
    return f"{group}={name}: no such option; {choices(options, name)}{hint}"
