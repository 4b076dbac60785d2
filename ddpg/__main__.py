"""`python -m ddpg key=value …` trains, as `ddpg-train` does."""

from ddpg.programs import train

train()
