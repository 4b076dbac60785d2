"""The fixture that comes with the package."""

import subprocess
import sys

pytest_plugins = ["pytester"]

TEST = """
import torch

def test_sound(gradient_flow):
    actor, critic = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD([*actor.parameters(), *critic.parameters()], lr=0.1)
    with gradient_flow(actor=actor, critic=critic) as flow:
        critic(actor(torch.ones(1)).detach()).sum().backward()
        optimizer.step()
    flow.assert_moved(only="critic")

def test_leaking(gradient_flow):
    actor, critic = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD([*actor.parameters(), *critic.parameters()], lr=0.1)
    with gradient_flow({"actor": actor}, critic=critic) as flow:
        critic(actor(torch.ones(1))).sum().backward()
        optimizer.step()
    flow.assert_moved(only="critic")
"""


def test_the_fixture_gives_a_traced_audit(pytester):
    pytester.makepyfile(TEST)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*a step moved actor, and only critic should have moved.*", "*Sum ← critic ← actor*"])


def test_nobody_elses_tests_wait_for_pytorch(pytester):
    pytester.makepyfile("def test(): import sys; assert 'torch' not in sys.modules")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
    code = "import sys, ddpg; assert 'torch' not in sys.modules; assert ddpg.GradientFlow and ddpg.DDPG"
    subprocess.run([sys.executable, "-c", code], check=True)
