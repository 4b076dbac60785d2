"""The training that never ends."""

from training import EndlessTraining, overrides


def test_it_trains_once_a_step_and_takes_overrides():
    endless = EndlessTraining(*overrides("Pendulum-v1", 8, 4, compiled=False), "seed=3")
    training = endless.training
    assert training.settings.seed == 3
    assert training.settings.agent.hidden_sizes == [8, 8]
    step, updates = training.step, training.updates
    endless.advance(7)
    assert (training.step, training.updates) == (step + 7, updates + 7)
    endless._stack.close()
