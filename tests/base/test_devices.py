import pytest

from ddpg import InputError
from ddpg.base.devices import usable_device


def test_the_cpu_is_always_usable():
    assert usable_device("cpu").type == "cpu"


@pytest.mark.parametrize("device", ["cuda:77", "meta", "quantum"])
def test_a_device_that_cannot_be_used_is_refused_in_a_sentence(device):
    with pytest.raises(InputError, match=rf"device={device}: not usable on this machine \(.*\); device=cpu always is"):
        usable_device(device)
