"""`python -m ddpg.command_line key=value …` trains, as `ddpg-train` does."""

from ddpg.command_line import train

train()
