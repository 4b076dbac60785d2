"""What a drawing of a graph says, and the Mermaid flowchart."""

from conftest import make_agent, make_batch

from ddpg.gradient_flow import GradientFlow
from ddpg.gradient_flow.diagram import Link


def test_mermaid_has_a_group_a_call_and_a_node_an_operation():
    agent = make_agent(gradient_stop="no_grad")
    with GradientFlow(agent.modules(), trace=True) as flow:
        agent.update(make_batch())
    text, diagram = flow.mermaid("update_critic"), flow.backwards[0].diagram
    assert text.startswith("flowchart TD\n")
    assert text.count("subgraph") == text.count("  end\n") == 3
    assert text.count("[") - text.count("subgraph") == len(diagram.operations)
    assert text.count(" -. ✂ .-x ") == 1
    assert text.count(" --> ") == sum(link is Link.GRADIENT for link in diagram.links.values())
    nodes = text.splitlines()[-1].removeprefix("  class ").removesuffix(" behind").split(",")
    assert nodes == sorted(nodes, key=lambda node: int(node[1:]))  # the same text for the same graph
    assert len(nodes) == len(diagram.behind)
