"""Run the command `gradient-flow` as `python -m ddpg.gradient_flow`."""

from ddpg.gradient_flow.command import main

main()
