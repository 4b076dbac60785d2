"""Group runs by the settings in which they differ."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ddpg.base.errors import choices, require
from ddpg.comparison.reading import NEUTRAL, Run, Value
from ddpg.critic_freeze import CriticFreeze
from ddpg.gradient_stop import GradientStop

FIRST = ("gradient_stop", "critic_freeze", "agent.bootstrap_actor")
"""Runs that differ in several settings are compared by these first."""
_OPTIONS: Mapping[str, list[Value]] = {family.kind: [*family.options] for family in (GradientStop, CriticFreeze)}

Section = tuple[tuple[str, Value], ...]
"""Settings that differ beyond those compared by."""
Runs = Mapping[int, Run]
"""Runs by seed, alike in all other settings."""


class Place(NamedTuple):
    """Value of the first and of the second key compared by (`None` without a second), and the section."""

    line: Value
    panel: Value
    section: Section

    def name(self) -> str:
        """Return the values of the keys compared by."""
        return ", ".join(shown(value) for value in self[:2] if value is not None)


class Comparison:
    """Runs in places; those of one place differ in nothing but the seed.

    Args:
        runs: one or more runs.
        by: one or two keys to compare by; by default those in which the runs differ, strategies first.
        baseline: value of the first key that the others are measured against; by default that of `defaults` if it is
            among the runs, else the first.
        defaults: values taken as baseline, by key.

    Attributes:
        keys: the one or two keys compared by.
        places: runs by place, in the order shown.
        lines, sections: the places' lines and sections, in the order shown.
        dependent: further keys that differ, whose values follow from the place.

    Raises:
        InputError: if `by` or `baseline` names what no run has.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        by: Sequence[str] = (),
        baseline: str | None = None,
        defaults: Mapping[str, Value] | None = None,
    ) -> None:
        self.runs = sorted(runs, key=lambda run: run.seed)
        values: dict[str, set[Value]] = {
            key: {run.settings.get(key) for run in runs}
            for key in dict.fromkeys(key for run in runs for key in run.settings)
            if key not in NEUTRAL
        }
        require(len(set(by)) == len(by), f"--by {' '.join(by)}: the same setting twice; give two, or one.")
        for key in by:
            require(key in values, f"--by {key}: no run has such a setting; {choices(values, key)}")

        def precedence(key: str) -> tuple[int, bool]:
            # Names before numbers: an optimizer that has a learning rate of its own does not follow from that rate.
            return FIRST.index(key) if key in FIRST else len(FIRST), all(map(_is_number, values[key]))

        differing = sorted((key for key in values if len(values[key]) > 1), key=precedence)
        self.keys = [*by] or self._independent(differing)[:2] or [FIRST[0]]
        others = [key for key in differing if key not in self.keys]
        section_keys = [key for key in self._independent([*self.keys, *others]) if key in others]
        self.dependent = [key for key in others if key not in section_keys]

        places: dict[Place, dict[int, Run]] = {}
        for run in self.runs:
            line, panel = [*map(run.settings.get, self.keys), None][:2]
            section = tuple((key, run.settings.get(key)) for key in section_keys)
            places.setdefault(Place(line, panel, section), {})[run.seed] = run

        def rank(place: Place) -> list[tuple[int, bool, float, str]]:
            return [_rank(*pair) for pair in (*place.section, (self.keys[-1], place.panel), (self.keys[0], place.line))]

        self.places: dict[Place, Runs] = {place: places[place] for place in sorted(places, key=rank)}
        self.sections = list(dict.fromkeys(place.section for place in self.places))
        self.lines = list(dict.fromkeys(place.line for place in self.places))

        lines = {shown(line): line for line in self.lines}
        wrong = f"--baseline {baseline}: no run has {self.keys[0]}={baseline}; {choices(lines, baseline)}"
        require(baseline is None or baseline in lines, wrong)
        default = shown((defaults or {}).get(self.keys[0]))
        self.baseline = lines.get(default if baseline is None else baseline, self.lines[0])

    def _independent(self, keys: Sequence[str]) -> list[str]:
        """Return the keys without those whose value follows from the values of the keys before."""
        independent: list[str] = []
        for key in keys:
            before, along = (
                {tuple(map(run.settings.get, some)) for run in self.runs} for some in (independent, [*independent, key])
            )
            if len(along) > len(before):
                independent.append(key)
        return independent

    def panels(self, section: Section) -> dict[Value, dict[Value, Runs]]:
        """Return a section's runs by panel and line."""
        panels: dict[Value, dict[Value, Runs]] = {}
        for place, runs in self.places.items():
            if place.section == section:
                panels.setdefault(place.panel, {})[place.line] = runs
        return panels

    def baseline_of(self, place: Place) -> Runs:
        """Return the baseline's runs with the other settings of a place; empty if there are none."""
        return self.places.get(place._replace(line=self.baseline), {})

    def same_weights(self, place: Place) -> list[int]:
        """Return the seeds that end in the same weights as under the baseline, bit for bit."""
        same = weights(self.places[place]).items() & weights(self.baseline_of(place)).items()
        return sorted(seed for seed, _ in same)

    def differing(self, section: Section) -> list[Place]:
        """Return the section's places of which some seed ends in other weights than under the baseline."""
        return [
            place
            for place, runs in self.places.items()
            if place.section == section
            and len(self.same_weights(place)) < len(runs.keys() & self.baseline_of(place).keys())
        ]

    def settings(self, place: Place) -> Section:
        """Return all settings that make a place."""
        return (*zip(self.keys, place[:2], strict=False), *place.section)


def weights(runs: Runs) -> dict[int, str]:
    """Return the digest of the final weights by seed."""
    return {seed: run.result["weights_digest"] for seed, run in runs.items()}


def shown(value: Value) -> str:
    """Return a setting's value as it is typed on the command line."""
    return value if isinstance(value, str) else json.dumps(value)


def label(settings: Iterable[tuple[str, Value]]) -> str:
    """Return settings as they are typed on the command line, with commas between them."""
    return ", ".join(f"{key}={shown(value)}" for key, value in settings)


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _rank(key: str, value: Value) -> tuple[int, bool, float, str]:
    """Sort options in the project's order, numbers by size, and the rest by name."""
    options = _OPTIONS.get(key, [])
    number = _is_number(value)
    place = options.index(value) if value in options else -1
    return place, not number, float(value) if number else 0.0, str(value)  # type: ignore[arg-type]
