"""Whatever Hydra does not take is answered in one sentence that names it and the mend."""

import pytest


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("seed=0,1,2", "seed=0,1,2: several values, of which a run takes one; -m makes a run for each."),
        ("gradient_stop=none,detach", "-m makes a run for each"),
        ("seed=range(3)", "seed=range(3): makes a run for each value: add -m."),
        ("agent.hidden_sizes=64,64", "'agent.hidden_sizes=[64,64]'"),
        ("--seed 3", "--seed: settings are typed key=value, without dashes: seed=3"),
        ("--total-steps=3", "--total-steps=3: settings are typed key=value, without dashes: total_steps=3"),
        ("-seed", "-seed: settings are typed key=value, without dashes: seed=…"),
        ("--multirum", "--multirum: there is no such flag; did you mean --multirun?"),
        ("--cfg nope", "invalid choice: 'nope'"),
        ("--c job", "ambiguous option: --c"),
        ("--run -m", "--run -m: one of these at a time"),
        ("--resolve", "--resolve: goes with --cfg"),
        ("--experimental-rerun x", "--experimental-rerun: reads a pickle"),
        ("--config-dir nowhere", "nowhere: there is no such folder"),
        ("--config-name nope", "--config-name nope: there is no such file"),
        ("seed 3", "seed: a setting is typed key=value, without spaces"),
        ("seed:3", "seed=3 for instance"),
        ("agent.hidden_sizes=[64,64", "agent.hidden_sizes=[64,64: a bracket is missing"),
        ('seed="1', 'seed="1: a quote is missing'),
        ("agent.hidden_sizes=[6;4]", "[6;4] cannot be read as a value; 'agent.hidden_sizes=[1,2]' is"),
        ("gradient_stop=a=b", "a=b cannot be read as a value; \"gradient_stop='…'\" is"),
        ("+seed=3", "+seed: there is one already; type seed=…, without +."),
        ("+agent=paper", "+agent: there is one already"),
        ("++agent=paper", "++agent=paper: type agent=paper, without +."),
        ("~seed", "~seed: every setting is needed"),
        ("~agent", "~agent: every setting is needed"),
        ("~sed", "~sed: there is no sed; leave it out."),
        ("gradient_stop=[none,detach]", "gradient_stop=[none,detach]: has to be one of its options"),
        ("agent/optimizer=Adam", "agent/optimizer: there is no such setting; did you mean agent.optimizer?"),
        ("hydra.nope=1", "hydra.nope: Hydra has no such setting"),
        ("hydra/launcher=cors", "hydra/launcher=cors: no such option; did you mean cores?"),
        ("hydra.job.chdir=maybe", "hydra.job.chdir=maybe: Value 'maybe'"),
        ("seed=${sed}", "${sed}: there is no such setting; did you mean seed?"),
        ("seed=${oc.env:NOPE}", "'NOPE' not found"),
        ("seed=${nope:1}", "Unsupported interpolation type nope; mind the ${…} that was typed."),
        ("whatever=1", "whatever: there is no such setting; --help shows them all."),
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


def test_a_launcher_whose_package_is_missing_names_it(command):
    pytest.importorskip("hydra_plugins")
    for name, extra in (("slurm", "submitit"), ("ray_cluster", "ray")):
        try:
            __import__(f"hydra_plugins.hydra_{extra}_launcher")
        except ImportError:
            status, _, err = command("train.py", "-m", f"hydra/launcher={name}")
            assert status == 2
            assert f"pip install -e '.[{extra}]' brings it" in err
