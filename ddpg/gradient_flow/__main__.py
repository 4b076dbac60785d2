"""`python -m ddpg.gradient_flow`: the same as the command `gradient-flow`."""

from ddpg.gradient_flow.command import main

main()
