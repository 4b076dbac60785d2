"""Promise 5 for config files: whatever a stranger's folder of them says, nothing in it is executed."""

from pathlib import Path

import pytest
from commands import SMALL

BOMB = "{_target_: pathlib.Path.touch, self: executed}"
HOSTILE = {
    "a callback": {"experiment/x.yaml": f"# @package _global_\nhydra:\n  callbacks:\n    x: {BOMB}\n"},
    "another callback in the place of ours": {
        "experiment/x.yaml": "# @package _global_\nhydra:\n  callbacks:\n    check_first: {_target_: os.abort}\n"
    },
    "a launcher": {"experiment/x.yaml": f"# @package _global_\nhydra:\n  launcher: {BOMB}\n"},
    "a sweeper": {"experiment/x.yaml": f"# @package _global_\nhydra:\n  sweeper: {BOMB}\n"},
    "a target by Hydra's own instantiate": {
        "experiment/x.yaml": "# @package _global_\nhydra:\n  callbacks:\n"
        "    x: {_target_: hydra.utils.call, config: {_target_: os.abort}}\n"
    },
    "a log handler": {
        "experiment/x.yaml": "# @package _global_\nhydra:\n  job_logging:\n    version: 1\n    handlers:\n"
        "      x: {(): os.abort}\n    root: {handlers: [x]}\n"
    },
    "an environment variable": {
        "experiment/x.yaml": "# @package _global_\nhydra:\n  job:\n    env_set: {LD_PRELOAD: evil.so}\n"
    },
    "a package directive": {"experiment/x.yaml": f"# @package hydra.callbacks\nx: {BOMB}\n"},
    "a defaults list": {
        "experiment/x.yaml": "# @package _global_\ndefaults: [{/evil@hydra.callbacks: y}]\n",
        "evil/y.yaml": f"x: {BOMB}\n",
    },
    "a group of Hydra's": {
        "experiment/x.yaml": "# @package _global_\ndefaults: [{override /hydra/callbacks: evil}]\n",
        "hydra/callbacks/evil.yaml": f"x: {BOMB}\n",
    },
    "a target among the settings": {"experiment/x.yaml": "# @package _global_\nagent: {_target_: os.abort}\n"},
    "a target as an option": {"gradient_stop/x.yaml": "name: no_grad\n_target_: os.abort\n"},
    "a target as an argument of the environment": {
        "experiment/x.yaml": "# @package _global_\nenv:\n  kwargs: {g: {_target_: os.abort}}\n"
    },
    "a path upwards": {"experiment/x.yaml": "# @package _global_\nenv: {id: '../../evil:Thing-v0'}\n"},
    "a module": {"experiment/x.yaml": "# @package _global_\nenv: {id: 'evil:Thing-v0'}\n"},
    "a module in the values of a sweep": {
        "experiment/x.yaml": "# @package _global_\nhydra: {mode: MULTIRUN, sweeper: {params: {env.id: 'evil:A-v0'}}}\n"
    },
    "an object": {"experiment/x.yaml": "# @package _global_\nseed: !!python/object/apply:os.abort []\n"},
    "a deep nest": {"experiment/x.yaml": f"# @package _global_\nseed: {'[' * 5000}{']' * 5000}\n"},
    "a laugh of a billion": {
        "experiment/x.yaml": "# @package _global_\nenv:\n  kwargs:\n    a0: &a0 [1, 1]\n"
        + "".join(f"    a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    },
    "a huge file": {"experiment/x.yaml": "# @package _global_\nseed: 0\n" + "#" * 2**21},
    "no YAML": {"experiment/x.yaml": "# @package _global_\n\0\x01{{{"},
    "an absurd batch": {
        "experiment/x.yaml": "# @package _global_\nbuffer_size: 100000000\nbatch_size: 100000000000000\n"
    },
    "absurd sizes": {"experiment/x.yaml": "# @package _global_\nbuffer_size: 1000000000000000\n"},
    "absurd networks": {"experiment/x.yaml": "# @package _global_\nagent: {hidden_sizes: [1000000000000]}\n"},
    "absurd threads": {"experiment/x.yaml": "# @package _global_\nthreads: 1000000\n"},
}


def write(files):
    for name, text in files.items():
        path = Path("stranger", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize("way", ["--config-dir=stranger", "hydra.searchpath=[file://{}/stranger]"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_strangers_config_is_data(command, tmp_path, kind, way):
    write(HOSTILE[kind])
    Path("evil.py").write_text("import pathlib; pathlib.Path('executed').touch()")
    choice = "gradient_stop=x" if "gradient_stop/x.yaml" in HOSTILE[kind] else "+experiment=x"
    own = [each for each in SMALL if not any(name in each for name in ("kwargs", "hidden_sizes", "batch_size"))]
    status, _, err = command("train.py", way.format(tmp_path), *own, choice.lstrip("+"), "hydra.run.dir=here")
    assert status == (1 if "argument of the environment" in kind else 2), err  # the environment does not like it
    assert err.strip()
    assert "Traceback" not in err
    assert not Path("executed").exists()
    assert not Path("here/checkpoints").exists()


def test_a_config_of_ones_own_still_works(command):
    write(
        {
            "experiment/x.yaml": "# @package _global_\ndefaults: [{override /agent: paper}]\nseed: 5\n"
            "hydra: {run: {dir: from_the_file}}\n",
            "gradient_stop/half.yaml": "name: manual\nscale: 0.5\nevery: 1\n",
        }
    )
    status, _, err = command("train.py", "--config-dir", "stranger", *SMALL, "experiment=x", "gradient_stop=half")
    assert status == 0, err
    assert Path("from_the_file/result.json").exists()


def test_what_a_person_types_is_left_to_hydra(command):
    write({"experiment/x.yaml": "# @package _global_\nseed: 5\n"})
    typed = "+hydra.callbacks.mine={_target_: hydra.experimental.callbacks.LogJobReturnCallback}"
    status, _, err = command("train.py", "--config-dir=stranger", *SMALL, "experiment=x", typed, "hydra.run.dir=here")
    assert status == 0, err


def test_a_target_among_typed_settings_is_no_setting(command):
    for override in ("+agent._target_=os.abort", "+_target_=os.abort", "+gradient_stop._target_=os.abort"):
        status, _, err = command("train.py", *SMALL, override)
        assert status == 2
        assert "no such setting" in err
