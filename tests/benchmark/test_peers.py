"""Other libraries' DDPG, as far as they are installed: they train, and do equal work."""

import pytest
from conftest import identical, weights

import peers

SIZES = "Pendulum-v1", 8, 4


@pytest.mark.filterwarnings("ignore")  # the libraries' own
def test_stable_baselines_updates_after_every_step():
    pytest.importorskip("stable_baselines3")
    peer = peers.StableBaselines(*SIZES, "stable_baselines3", threads=1)
    updates, before = peer._model._n_updates, weights(peer._model.actor)
    peer.advance(5)
    assert peer._model._n_updates == updates + 5
    assert not identical(weights(peer._model.actor), before)


@pytest.mark.filterwarnings("ignore")
def test_tianshou_stores_and_learns_at_every_step():
    pytest.importorskip("tianshou")
    peer = peers.Tianshou(*SIZES, threads=1)
    stored, before = len(peer._buffer), weights(peer._algorithm.policy.actor)
    peer.advance(5)
    assert len(peer._buffer) == stored + 5
    assert not identical(weights(peer._algorithm.policy.actor), before)


def test_what_is_not_installed_is_left_out_and_named():
    contestants = {"gymnasium": {"one": (int,), "two": (int,)}, "no_such_library": {"three": (int,)}}
    makers, (note,) = peers.available(contestants)
    assert list(makers) == ["one", "two"]
    assert "no_such_library" in note and ".[bench]" in note
    assert peers.available({"gymnasium": {}}) == ({}, [])
