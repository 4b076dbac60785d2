"""Findings of all kinds, worst first, from the record alone."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ddpg.gradient_flow import costs, faults, hints, unused
from ddpg.gradient_flow.cases import merged
from ddpg.gradient_flow.kinds import SEVERITIES
from ddpg.gradient_flow.parts import Part
from ddpg.gradient_flow.recorder import Recorder
from ddpg.gradient_flow.records import Finding


@dataclass(frozen=True)
class Settings:
    """Intentions that the user has declared.

    Attributes:
        shared: modules that several losses, or optimizers, are meant to train.
        frozen: modules that are not to change.
        least_cost: share of a pass below which a cost is left out.
    """

    shared: frozenset[str] = frozenset()
    frozen: frozenset[str] = frozenset()
    least_cost: float = 0.01

    def for_parts(self, parts: Mapping[str, Part]) -> "Settings":
        """Return settings that apply to the parts of a module too."""
        shared, frozen = set(self.shared), set(self.frozen)
        for name, part in parts.items():  # the larger before the smaller
            for said in (shared, frozen):
                if part.around in said:
                    said.add(name)
        return replace(self, shared=frozenset(shared), frozen=frozenset(frozen))


def findings(record: Recorder, settings: Settings) -> list[Finding]:
    """Return faults, then hints, then costs."""
    cases = [
        *faults.leaks(record, settings.shared),
        *faults.moved_targets(record, settings.shared),
        *faults.stale_gradients(record, settings.shared),
        *faults.dead_links(record),
        *faults.drifts(record, settings.frozen),
        *faults.applied_twice(record, settings.shared),
        *unused.unreached(record),
        *unused.unheld(record),
        *hints.self_targets(record),
        *hints.cut_terms(record),
        *hints.constant_gradients(record),
        *costs.wastes(record, settings.least_cost),
        *costs.tracked_targets(record, settings.least_cost),
    ]
    return sorted(merged(cases, record.names), key=lambda each: SEVERITIES.index(each.severity))
