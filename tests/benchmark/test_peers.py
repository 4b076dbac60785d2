"""Other libraries' DDPG, as far as they are installed: they train, and do equal work."""

import pytest
from conftest import identical, weights

from ddpg.benchmark import peers
from ddpg.benchmark.options import Options

OPTIONS = Options("training", hidden=8, batch=4)


@pytest.mark.filterwarnings("ignore")  # the libraries' own
def test_stable_baselines_updates_after_every_step():
    pytest.importorskip("stable_baselines3")
    peer = peers.StableBaselines(OPTIONS, "stable_baselines3", threads=1)
    updates, before = peer._model._n_updates, weights(peer._model.actor)
    peer.advance(5)
    assert peer._model._n_updates == updates + 5
    assert not identical(weights(peer._model.actor), before)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("module", "make", "actor"),
    [
        ("tianshou", peers.Tianshou, lambda peer: peer._algorithm.policy.actor),
        ("torchrl", peers.TorchRL, lambda peer: peer._loss.actor_network_params),
    ],
)
def test_the_others_store_and_learn_at_every_step(module, make, actor):
    pytest.importorskip(module)
    peer = make(OPTIONS)
    stored, before = len(peer._buffer), weights(actor(peer))
    peer.advance(5)
    assert len(peer._buffer) == stored + 5
    assert not identical(weights(actor(peer)), before)


def test_what_is_not_installed_is_left_out():
    assert peers.installed("gymnasium")
    assert not peers.installed("no_such_library")
