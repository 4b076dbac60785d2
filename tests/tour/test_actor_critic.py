import pytest

from ddpg.tour.actor_critic import FREEZES, STOPS, actor_update, critic_update


@pytest.mark.parametrize("stop", STOPS)
def test_the_critics_update_moves_the_critic_and_without_a_stop_the_actor(stop):
    assert critic_update(stop).moved == (("actor", "critic") if stop == "none" else ("critic",))
    assert ("actor" in critic_update(stop).reached) == (stop in ("none", "optimizer", "manual"))


@pytest.mark.parametrize("freeze", FREEZES)
def test_the_actors_update_moves_the_actor_and_without_a_freeze_the_critic(freeze):
    assert actor_update(freeze).moved == (("actor", "critic") if freeze == "none" else ("actor",))
    assert ("critic" in actor_update(freeze).reached) == (freeze in ("none", "optimizer", "manual"))
