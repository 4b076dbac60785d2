"""Other people's agents, unmodified, under the audit: what docs/audit.md says of them."""

import pytest
from other_agents import AGENTS, wasted_bytes

from ddpg.gradient_flow import GradientFlow

CRITIC = 4 * (4 * 256 + 256 + 256 * 256 + 256 + 256 + 1)  # bytes of a critic's parameters on Pendulum


def audited(key):
    pytest.importorskip({"sb3": "stable_baselines3"}.get(key.split("_")[0], key.split("_")[0]))
    agent = AGENTS[key]()
    agent.step()
    with GradientFlow(agent.modules, trace=True) as flow:
        agent.step()
    return agent, flow


@pytest.mark.filterwarnings("ignore")  # the libraries' own
@pytest.mark.parametrize(
    ("key", "wasted", "file"),
    [
        ("sb3_ddpg", CRITIC, "td3.py"),
        ("sb3_td3", CRITIC, "td3.py"),
        ("sb3_sac", 2 * CRITIC, "sac.py"),
        ("tianshou_ddpg", CRITIC, "ddpg.py"),
        ("torchrl_ddpg", 0, None),
        ("torchrl_ddpg_one_backward", 0, None),
    ],
)
def test_they_are_sound_and_some_compute_the_critics_gradients_in_vain(key, wasted, file):
    agent, flow = audited(key)
    assert [(each.kind, each.modules) for each in flow.findings()] == ([("waste", ("critic",))] if wasted else [])
    assert all(each.file.endswith(f"/{file}") for each in flow.findings())
    assert wasted_bytes(flow, agent) == wasted
    flow.assert_moved(only=["actor", "critic"])
    assert not any({"target_actor", "target_critic"} & each.reached.keys() for each in flow.backwards)
