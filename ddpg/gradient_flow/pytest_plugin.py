"""The fixture `gradient_flow`, available to every test where this package is installed.

def test_a_critic_update_spares_the_actor(gradient_flow):
    with gradient_flow(actor=actor, critic=critic) as flow:
        update_critic(batch)
    flow.assert_moved(only="critic")
"""

from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from ddpg.gradient_flow import GradientFlow


class _Audit(Protocol):
    def __call__(self, *modules: Any, **options: Any) -> "GradientFlow": ...


@pytest.fixture
def gradient_flow() -> _Audit:
    """Return `ddpg.GradientFlow` with tracing on, so that a failed assertion names the line for a stop."""
    from ddpg.gradient_flow import GradientFlow  # here, so that PyTorch is loaded for those tests only that ask for it

    def audit(*modules: Any, **options: Any) -> GradientFlow:
        return GradientFlow(*modules, **{"trace": True, **options})

    return audit
