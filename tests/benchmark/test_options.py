"""What a person may type, and the sentence for each mistake."""

from pathlib import Path

import pytest

from ddpg.base.errors import InputError
from ddpg.benchmark.options import PARTS, Options, parse


def test_what_is_typed_arrives():
    options = parse(["step", "--rounds", "2", "--hidden", "8", "--batch", "4", "--output", "here"])
    assert options == Options("step", rounds=2, hidden=8, batch=4, output=Path("here"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("trainin", "trainin: no such part; did you mean training?"),
        ("update --rounds 0", "--rounds=0: must be a whole number, 1 or more"),
        ("update --hidden x", "argument --hidden: invalid int value: 'x'"),
        ("update --with 3", "unrecognized arguments: --with 3"),
        ("step --env Pendulom-v1", "--env Pendulom-v1: no such environment is registered; did you mean Pendulum-v1?"),
        ("training --env CartPole-v1", "--env CartPole-v1: action space Discrete(2)"),
        ("training --device cuda", "--device cuda: the part training is measured on the cpu"),
        ("update --device cudda", "device=cudda: not usable"),
        ("", "the following arguments are required: PART"),
    ],
)
def test_a_mistake_is_a_sentence(arguments, sentence):
    with pytest.raises(InputError) as error:
        parse(arguments.split())
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_help_names_every_part(capsys):
    with pytest.raises(SystemExit):
        parse(["--help"])
    page = capsys.readouterr().out
    assert all(f"\n  {part} " in page for part in PARTS)
