"""`python -m ddpg key=value …` trains, as `ddpg-train` does."""

from ddpg.command_line import train

train()
