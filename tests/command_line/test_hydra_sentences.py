"""Whatever Hydra does not take is answered in one line that names it and the mend."""

import pytest


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("seed=0,1,2", "seed=0,1,2'; 1. To use it as a list"),
        ("gradient_stop=none,detach", "add --multirun"),
        ("seed=range(3)", "seed=range(3)' requires --multirun"),
        ("agent.hidden_sizes=64,64", "use key=[value1,value2]"),
        ("--seed 3", "--seed; settings are typed key=value, without dashes"),
        ("--total-steps=3", "--total-steps=3; settings are typed key=value, without dashes"),
        ("-seed", "-seed; settings are typed key=value, without dashes"),
        ("--multirum", "--multirum; settings are typed key=value, without dashes; --hydra-help shows Hydra's flags"),
        ("--cfg nope", "invalid choice: 'nope'"),
        ("--c job", "ambiguous option: --c"),
        ("--run -m", "--run -m: one of these at a time"),
        ("--resolve", "--resolve: goes with --cfg"),
        ("--experimental-rerun x", "--experimental-rerun: reads a pickle"),
        ("--config-dir nowhere", "nowhere' not found"),
        ("--config-name nope", "Cannot find primary config 'nope'"),
        ("seed 3", "seed: a setting is typed key=value, without spaces"),
        ("seed:3", "seed:3: a setting is typed key=value"),
        ("agent.hidden_sizes=[64,64", "agent.hidden_sizes=[64,64: cannot be read; a list is typed 'key=[1,2]'"),
        ('seed="1', 'seed="1: cannot be read'),
        ("agent.hidden_sizes=[6;4]", "[6;4]: cannot be read; a list is typed 'key=[1,2]'"),
        ("gradient_stop=a=b", "gradient_stop=a=b: cannot be read"),
        ("+seed=3", "already at 'seed'.; Either remove + prefix: 'seed=3'"),
        ("+agent=paper", "+agent=paper: type agent=paper, without +."),
        ("++agent=paper", "++agent=paper: type agent=paper, without +."),
        ("~seed", "~seed: every setting is needed"),
        ("~agent", "~agent: every setting is needed"),
        ("gradient_stop=[none,detach]", "gradient_stop=[none,detach]: has to be one of its options"),
        ("agent/optimizer=Adam", "agent/optimizer=Adam: there is no such setting; did you mean agent.optimizer?"),
        ("hydra.nope=1", "'hydra.nope'"),
        ("hydra/launcher=cors", "hydra/launcher=cors: no such option; did you mean cores?"),
        ("hydra.job.chdir=maybe", "hydra.job.chdir=maybe; Value 'maybe' is not a valid bool"),
        ("seed=${sed}", "Interpolation key 'sed' not found"),
        ("seed=${oc.env:NOPE}", "'NOPE' not found"),
        ("seed=${nope:1}", "Unsupported interpolation type nope"),
        ("whatever=1", "whatever=1: there is no such setting"),
        ("-m resume=.", "one run at a time"),
    ],
)
def test_a_refusal_of_hydras_is_a_sentence(command, tmp_path, typed, sentence):
    status, out, err = command("train.py", *typed.split())
    assert status == 2
    assert sentence in err
    assert len(err.splitlines()) == 1
    assert not out
    assert not list(tmp_path.iterdir())


def test_a_target_among_typed_settings_is_no_setting(command):
    for override in ("+agent._target_=os.abort", "+_target_=os.abort", "+gradient_stop._target_=os.abort"):
        status, _, err = command("train.py", override)
        assert status == 2
        assert "no such setting" in err


def test_a_launcher_whose_package_is_missing_names_it(command):
    pytest.importorskip("hydra_plugins")
    for name, extra in (("slurm", "submitit"), ("ray_cluster", "ray")):
        try:
            __import__(f"hydra_plugins.hydra_{extra}_launcher")
        except ImportError:
            status, _, err = command("train.py", "-m", f"hydra/launcher={name}")
            assert status == 2
            assert f"pip install -e '.[{extra}]' brings it" in err
