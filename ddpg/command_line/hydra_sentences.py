"""What Hydra would not take from the command line, in a sentence with the mend."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from hydra._internal.utils import get_args_parser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from ddpg.base.errors import InputError, choices, require
from ddpg.training.settings import Settings, option_settings

_NEEDED = ("gradient_stop", "critic_freeze", "agent", "exploration", "env")
_OPEN = ("env.kwargs", "agent.optimizer_options")  # take any name
_LISTS = ("agent.hidden_sizes", *_OPEN)


def check(arguments: list[str], conf: Path) -> None:
    """Refuse what Hydra would answer with its usage or a traceback, or would take for what is not meant.

    Raises:
        InputError: naming the word.
    """
    require("#" not in arguments, "#: this shell reads no comments (zsh: setopt interactive_comments); leave it out.")
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise InputError(_flag_sentence(message, arguments, list(parser._option_string_actions)))

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
        key, _, value = word.partition("=")
        require(
            not word.startswith("~") or key[1:] not in Settings.valid_keys(),
            f"{word}: every setting is needed; leave this out, or give {key[1:]}=… another value.",
        )
        if key in _NEEDED and (value in ("", "null") or value.startswith("[")):
            valid = choices([path.stem for path in (conf / key).glob("*.yaml")], given="")
            raise InputError(f"{word}: has to be one of its options. {valid}")


def sentence(error: HydraException | OmegaConfBaseException, conf: Path) -> str:
    """What Hydra could not parse or compose, with the nearest valid choice."""
    text, cause = (str(each).partition("\n")[0] for each in (error, error.__cause__))
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _missing_file(error.missing_cfg_file, list(error.options or []), conf)
    if isinstance(error.__cause__, OverrideParseException):
        error = error.__cause__
    if isinstance(error, OverrideParseException):
        return _unreadable(error.override)
    patterns: dict[str, Callable[[str], str]] = {
        r"Ambiguous value for argument '(.+)'": _several_values,
        r"Sweep parameters '(.+)' requires": lambda word: f"{word}: makes a run for each value: add -m.",
        r"Could not override '([^']+)'": _unknown_key,
        r"Could not append to config. An item is already at '(.+)'": _there_already,
        r"Multiple values for ([\w/]+)": _there_already,
        r"force-add of config groups is not supported: '(\+\+.+)'": lambda word: f"{word}: type {word[2:]}, without +.",
        r"Could not delete from config. '(.+)' does not exist": lambda key: f"~{key}: there is no {key}; leave it out.",
        r"Interpolation key '(.+)' not found": lambda key: f"${{{key}}}: there is no such setting; {_nearest(key)}",
        r"Error merging override (.+)": lambda word: f"{word}: {cause}; give another value.",
    }
    for pattern, answer in patterns.items():
        if match := re.match(pattern, text):
            return answer(match[1])
    mend = (
        "mind the ${…} that was typed" if "nterpolation" in text else "settings are typed key=value, --help shows them"
    )
    return f"{text.rstrip('.')}; {mend}."


def _flag_sentence(message: str, arguments: list[str], flags: list[str]) -> str:
    """Of what argparse does not take."""
    unknown = message.removeprefix("unrecognized arguments: ").split()[0]
    if unknown not in arguments:
        return f"{message.rstrip('.')}; --hydra-help shows what Hydra can do."
    name, _, value = unknown.lstrip("-").partition("=")
    key = name.replace("-", "_")
    if key not in Settings.valid_keys():
        return f"{unknown}: there is no such flag; {choices(flags, unknown)} Settings are typed key=value."
    following = arguments[arguments.index(unknown) + 1 :][:1]
    values = [value] if value else [each for each in following if "=" not in each]
    return f"{unknown}: settings are typed key=value, without dashes: {key}={values[0] if values else '…'}"


def _missing_file(path: str, options: list[str], conf: Path) -> str:
    group, _, name = path.removesuffix(".yaml").rpartition("/")
    if not group:
        return f"--config-name {name}: there is no such file in {conf}; leave it out."
    package = name.partition("_")[0]
    if group == "hydra/launcher" and package in ("ray", "submitit"):
        return f"{group}={name}: a package that it needs is missing; pip install -e '.[{package}]' brings it."
    hint = " Any registered environment goes by env.id=<its id>." if group == "env" else ""
    return f"{group}={name}: no such option; {choices(options, name)}{hint}"


def _unreadable(word: str | None) -> str:
    """Of a word that is not in Hydra's grammar."""
    key, equals, value = str(word).partition("=")
    if not equals:
        name, _, value = re.sub(r"[\s:]+", "=", key.strip("-+~")).partition("=")
        return f"{word}: a setting is typed key=value, without spaces; {name or 'seed'}={value or '…'} for instance."
    if any(value.count(one) != value.count(other) for one, other in ("[]", "{}", "()")):
        return f"{word}: a bracket is missing; with all of them it stands in quotes, '{key}=…'."
    if any(value.count(quote) % 2 for quote in "'\""):
        return f"{word}: a quote is missing; type \"{key}='…'\", so that the shell leaves the inner ones."
    valid = f"\"{key}='…'\" is, whatever the text"
    if key.startswith(_LISTS):
        valid = f"'{key}=[1,2]' is as a list, '{key}={{name: 1}}' as a mapping"
    return f"{word}: {value} cannot be read as a value; {valid}."


def _several_values(word: str) -> str:
    key, _, values = word.partition("=")
    if key.lstrip("+").startswith(_LISTS):
        return f"{word}: a list is typed in brackets: '{key}=[{values}]'"
    return f"{word}: several values, of which a run takes one; -m makes a run for each."


def _unknown_key(key: str) -> str:
    group, _, setting = key.partition(".")
    if key.startswith(_OPEN):
        return f"{key}: no entry of this name yet; +{key}=… adds one."
    if owners := option_settings().get((group, setting)):
        return f"{key}: the chosen {group} has no such setting; {group}={' or '.join(owners)} has it: add that."
    if re.match(r"hydra[./]", key):
        return f"{key}: Hydra has no such setting; --cfg hydra shows those it has."
    return f"{key}: there is no such setting; {_nearest(key)}"


def _there_already(key: str) -> str:
    return f"+{key}: there is one already; type {key}=…, without +."


def _nearest(key: str) -> str:
    near = choices(Settings.valid_keys(), key)
    return near if near.startswith("did you mean") else "--help shows them all."
