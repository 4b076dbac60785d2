"""What one seed's run measures. `test_training.py` tests what the loop makes of it."""

import pytest
from test_training import scalars, small

from ddpg import checkpoint
from ddpg.recording import state
from ddpg.training import Training


@pytest.mark.parametrize("optimizer", ["Adam", "SGD", "NAdam"])
def test_what_is_shown_of_an_update_is_what_the_update_itself_goes_on_to_return(tmp_path, optimizer):
    settings = small(
        total_steps=80, log_interval=5, agent__optimizer=optimizer, agent__optimizer_options={"weight_decay": 1e-3}
    )
    training = Training(settings, tmp_path)
    update, returned = training._update, []

    def keep(batches):
        (measurements,) = update(batches)
        returned.append({tag: float(value) for tag, value in measurements.items()})
        return [measurements]

    training._update = keep
    training.run()
    training.close()
    curves = scalars(tmp_path)
    for tag in returned[0]:
        shown = dict(curves[tag])
        assert shown.keys() == {51, *range(55, 81, 5)}
        for step, value in shown.items():
            assert value == pytest.approx(returned[step - settings.learning_starts - 1][tag], rel=1e-6), (tag, step)


def test_what_is_measured_of_one_of_several_seeds_holds_no_other_seeds_tensors(tmp_path):
    settings = {"seeds": 3, "total_steps": 60}
    for content, steps in (([], 60), (tmp_path, 80)):
        training = Training(small(**settings | {"total_steps": steps}), tmp_path)
        if content:
            training.load([checkpoint.load(tmp_path / str(seed)) for seed in range(3)])
        training.run()
        training.close()
    for run in training.runs:
        assert all(tensor.untyped_storage().nbytes() == tensor.nbytes for tensor in state(run._copy))
