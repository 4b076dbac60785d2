"""An actor and a critic of the tests' own, which may share an encoder."""

import torch
from conftest import ACTIONS, OBSERVATIONS
from torch import nn


class MyActor(nn.Module):
    def __init__(self, observation_space=OBSERVATIONS, action_space=ACTIONS, encoder=None, detach=True):
        super().__init__()
        self.encoder = encoder or nn.Linear(observation_space.shape[0], 16)
        self.output = nn.Linear(16, action_space.shape[0])
        self.detach = detach

    def forward(self, observations):
        features = self.encoder(observations)
        return torch.tanh(self.output(torch.relu(features.detach() if self.detach else features)))


class MyCritic(nn.Module):
    def __init__(self, observation_space=OBSERVATIONS, action_space=ACTIONS, encoder=None):
        super().__init__()
        self.encoder = encoder or nn.Linear(observation_space.shape[0], 16)
        self.output = nn.Linear(16 + action_space.shape[0], 1)

    def forward(self, observations, actions):
        return self.output(torch.cat([torch.relu(self.encoder(observations)), actions], -1)).squeeze(-1)
