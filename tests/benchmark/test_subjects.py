"""The training that never ends."""

from ddpg.benchmark.options import Options
from ddpg.benchmark.subjects import EndlessTraining


def test_it_trains_once_a_step_and_takes_overrides():
    with EndlessTraining(Options("training", hidden=8, batch=4), "seed=3") as endless:
        training = endless.training
        assert training.settings.seed == 3
        assert training.settings.agent.hidden_sizes == [8, 8]
        step, updates = training.step, training.updates
        endless.advance(7)
        assert (training.step, training.updates) == (step + 7, updates + 7)
