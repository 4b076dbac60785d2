"""All that a run is, to compare runs by."""

import hashlib
import json
from contextlib import contextmanager

from ddpg.saving import agent_state
from ddpg.training.loop import Training
from ddpg.training.resume import content


def standing(run):
    """A digest of a run's agent, replay buffer, random generators and unfinished episodes."""
    state = [
        agent_state.state_dict(run.agent),
        run.buffer.state_dict(),
        run.buffer.transitions(),
        run.collector.state_dict(),
        run.generator.bit_generator.state,
        run.step,
    ]
    return hashlib.sha256(json.dumps(state, default=plain, sort_keys=True).encode()).hexdigest()


def plain(value):
    return value.tolist() if hasattr(value, "tolist") else str(value)


@contextmanager
def training(folder, settings, resumed=False):
    """A training, taken up from its folder if it is resumed."""
    found = content(folder, {"env.id": settings.env.id}) if resumed else None
    made = Training(settings, folder)
    try:
        if found is not None:
            made.load(found)
        with made.run.open():
            yield made
    finally:
        made.close()
