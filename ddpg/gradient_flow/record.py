"""The record of one audit: what the findings, the report and the exports are made from."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from weakref import WeakKeyDictionary

import torch
from torch.optim import Optimizer

from ddpg.gradient_flow.discovery import Discovery
from ddpg.gradient_flow.history import History
from ddpg.gradient_flow.parts import Part
from ddpg.gradient_flow.places import Lines, Place, Site
from ddpg.gradient_flow.records import Backward, Loss, Step, Stepping, Structure
from ddpg.gradient_flow.weights import Weights


class Record:
    """Losses, optimizer steps and weights, as far as they have been seen.

    Args:
        parts: the modules and tensors that are audited from the start.
        frozen: names of those whose buffers are compared too.
        shared: names of those that several losses may train.
        discovery: finds what to audit, if nobody has named it.

    Attributes:
        lines: the user's lines that passes, steps and calls have come from.
        losses: by what tells one from another.
        steppings: the steps of an optimizer at a line, likewise.
        structures: of the graphs seen before, likewise, with the loss's key.
        backwards, steps: one by one.
        weights: of the audited modules and tensors.
        names: those that are shown.
        declared: those that the user has declared shared or frozen.
        held: keys of the parameters that some optimizer holds, stepping or not; known after a refresh.
        orphans: shapes of the parameters that optimizers hold and no audited module has, by key.
        reads: keys of the parameters whose gradients the user's code has read, by line; with tracing.
        parents: ids of the modules that have an audited one inside, by its name.
        ran: the latest call of each module that was called; with tracing.
        made_at: the lines where optimizers were made.
        idle: optimizers that were made and have not stepped: their classes and lines, by id.
        skipped: number of steps that a gradient scaler has left out.
        elsewhere: number of passes and steps of other threads, by the thread's name.
        cut_short: whether the code was ended, so that gradients may be waiting for a step.
    """

    def __init__(
        self,
        parts: Iterable[Part],
        frozen: Iterable[str] = (),
        shared: Iterable[str] = (),
        discovery: Discovery | None = None,
    ) -> None:
        self.lines = Lines()
        self.losses: dict[object, Loss] = {}
        self.steppings: dict[object, Stepping] = {}
        self.structures: dict[object, tuple[object, Structure]] = {}
        self.backwards: History[Backward] = History()
        self.steps: History[Step] = History()
        self.weights = Weights(parts, frozen)
        self.names = self.weights.shown
        self.declared = {*frozen, *shared}
        self.discovery = discovery
        self.held: set[str] = set()
        self.orphans: dict[str, torch.Size] = {}
        self.reads: dict[Site, set[str]] = defaultdict(set)
        self.parents: dict[str, set[int]] = defaultdict(set)
        self.ran: dict[str, Site] = {}
        self.made_at: WeakKeyDictionary[Optimizer, Site] = WeakKeyDictionary()
        self.idle: dict[int, tuple[str, Site]] = {}
        self.skipped = 0
        self.elsewhere: dict[str, int] = defaultdict(int)
        self.cut_short = False

    def loss(self, key: object, stack: tuple[Place, ...]) -> Loss:
        """Return the loss with this key, called from here once more."""
        if key not in self.losses:
            self.losses[key] = Loss(self.losses, self.lines, len(self.losses) + 1)
        self.losses[key].meets(stack)
        return self.losses[key]

    def next_index(self) -> int:
        """Return the index of a new pass or step."""
        self.weights.event += 1
        return self.weights.event - 1

    def behind(self, structure: Structure, keys: Collection[str]) -> list[str]:
        """Return keys of the other parameters that a gradient comes to through the operations of these."""
        return [key for key in structure.behind(keys) if key is not None and key not in keys]

    def feeds_others(self, structure: Structure, keys: Collection[str]) -> bool:
        """Whether a gradient comes through the operations of these parameters to a tensor that nobody has named."""
        return None in structure.behind(keys)
