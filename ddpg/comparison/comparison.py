"""Runs in their places: what differs in their settings decides which line, panel and section each belongs to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ddpg.base.errors import choices, require
from ddpg.comparison.reading import NEUTRAL, Run
from ddpg.comparison.words import shown
from ddpg.critic_freeze import CriticFreeze
from ddpg.gradient_stop import GradientStop

Value = str | bool | float | None
# Of several keys that differ, these are compared first.
FIRST = ("gradient_stop", "critic_freeze", "agent.bootstrap_actor")
_FAMILIES: Mapping[str, type[GradientStop] | type[CriticFreeze]] = {
    "gradient_stop": GradientStop,
    "critic_freeze": CriticFreeze,
}


@dataclass(frozen=True)
class Place:
    """Where a run belongs: equal places are the same training but for the seed.

    Attributes:
        section: the keys beyond the two compared, and their values.
        panel: value of the second key; `None` if there is but one key.
        line: value of the first key.
    """

    section: tuple[tuple[str, Value], ...]
    panel: Value
    line: Value


class Comparison:
    """Runs by the two keys they are compared by; no two that differ in any other setting share a place.

    Args:
        runs: one or more.
        by: one or two keys; by default those in which they differ, the strategies first.
        baseline: the value of the first key that the others are measured against; by default the project's own
            choice, if it is among the runs.
        defaults: the project's own choices, by key.

    Attributes:
        line_key, panel_key: the two keys, the second of which may be `None`.
        lines, panels, sections: their values in the order shown.
        places: the runs of each, by seed.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        by: Sequence[str] = (),
        baseline: str | None = None,
        defaults: Mapping[str, Value] | None = None,
    ) -> None:
        self.runs = runs
        keys = dict.fromkeys(key for run in runs for key in run.settings if key not in NEUTRAL)
        require(len(set(by)) == len(by), f"--by {' '.join(by)}: the same setting twice; give two, or one.")
        for key in by:
            require(key in keys, f"--by {key}: no run has such a setting; {choices(keys, key)}")
        differing = [key for key in keys if len({run.settings.get(key) for run in runs}) > 1]
        # Names before sizes: that an optimizer goes with a rate of its own does not make it one of the rates.
        sizes = [key for key in differing if all(is_size(run.settings.get(key)) for run in runs)]
        names = [key for key in differing if key not in (*FIRST, *sizes)]
        ordered = [*(key for key in FIRST if key in differing), *names, *sizes]
        chosen = [*by] or self._independent(ordered)[:2] or [FIRST[0]]
        self.line_key, self.panel_key = chosen[0], chosen[1] if len(chosen) > 1 else None
        independent = self._independent([*chosen, *(key for key in ordered if key not in chosen)])
        section_keys = [key for key in independent if key not in chosen]
        self.differing_too = [key for key in differing if key not in (*chosen, *section_keys)]
        """keys whose value follows from that of the others"""
        places: dict[Place, dict[int, Run]] = {}
        for run in runs:
            section = tuple((key, run.settings.get(key)) for key in section_keys)
            panel = run.settings.get(self.panel_key) if self.panel_key else None
            places.setdefault(Place(section, panel, run.settings.get(self.line_key)), {})[run.seed] = run
        self.lines = _ordered((place.line for place in places), self.line_key)
        self.panels = _ordered((place.panel for place in places), self.panel_key or "")
        self.sections = sorted({place.section for place in places}, key=lambda section: [_rank(v) for _, v in section])
        self.places = {
            place: dict(sorted(places[place].items()))
            for place in (Place(s, p, line) for s in self.sections for p in self.panels for line in self.lines)
            if place in places
        }
        self.baseline = self._baseline(baseline, (defaults or {}).get(self.line_key))

    def _independent(self, keys: Sequence[str]) -> list[str]:
        """The keys, without those whose value follows from the values of the ones before."""
        independent: list[str] = []
        groups: dict[tuple[Value, ...], set[Value]]
        for key in keys:
            groups = {}
            for run in self.runs:
                groups.setdefault(tuple(run.settings.get(each) for each in independent), set()).add(
                    run.settings.get(key)
                )
            if any(len(values) > 1 for values in groups.values()):
                independent.append(key)
        return independent

    def _baseline(self, given: str | None, default: Value) -> Value:
        if given is not None:
            named = {shown(line): line for line in self.lines}
            require(given in named, f"--baseline {given}: no run has {self.line_key}={given}; {choices(named, given)}")
            return named[given]
        return default if default in self.lines else self.lines[0]

    def of(self, section: tuple[tuple[str, Value], ...], panel: Value) -> dict[Value, dict[int, Run]]:
        """The runs of one panel: by line, by seed."""
        places = {line: self.places.get(Place(section, panel, line)) for line in self.lines}
        return {line: runs for line, runs in places.items() if runs}

    def against_baseline(self) -> Iterable[tuple[Place, dict[int, Run], dict[int, Run]]]:
        """Each place, but for the baseline's own: its runs, and the baseline's in the same panel."""
        for place, runs in self.places.items():
            base = self.places.get(Place(place.section, place.panel, self.baseline))
            if base is not None and place.line != self.baseline:
                yield place, runs, base

    def sound(self, line: Value) -> bool | None:
        """Whether the line's strategy is sound; `None` where lines are no strategies."""
        family = _FAMILIES.get(self.line_key)
        if family is None:
            return None
        prefix = f"{self.line_key}."
        of_line = [run.settings for place, runs in self.places.items() for run in runs.values() if place.line == line]
        options = [
            {key.removeprefix(prefix): value for key, value in settings.items() if key.startswith(prefix)}
            for settings in of_line
        ]
        return all(family.make({"name": line, **each}).sound for each in options)

    @cached_property
    def identical(self) -> list[list[Value]]:
        """The lines in classes: those of one class ended in the same weights wherever they can be compared."""
        classes: list[list[Value]] = []
        for line in self.lines:
            for each in classes:
                if self._identical(each[0], line):
                    each.append(line)
                    break
            else:
                classes.append([line])
        return classes

    def _identical(self, line: Value, other: Value) -> bool:
        pairs = list(self.pairs(line, other))
        return bool(pairs) and all(one.result["weights_digest"] == two.result["weights_digest"] for one, two in pairs)

    def pairs(self, line: Value, other: Value) -> Iterable[tuple[Run, Run]]:
        """Runs of two lines that are alike in all else, the seed included."""
        for place, runs in self.places.items():
            if place.line == line:
                others = self.places.get(Place(place.section, place.panel, other), {})
                yield from ((runs[seed], others[seed]) for seed in runs.keys() & others.keys())


def _ordered(values: Iterable[Value], key: str) -> list[Value]:
    """Without repetition; options in the project's order, numbers by size, the rest by name."""
    family = _FAMILIES.get(key)
    options: list[Value] = [*family.options] if family else []
    return sorted(set(values), key=lambda value: (options.index(value) if value in options else -1, _rank(value)))


def is_size(value: Value) -> bool:
    """Whether it is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _rank(value: Value) -> tuple[bool, float, str]:
    number = is_size(value)
    return (not number, float(value) if number else 0.0, str(value))  # type: ignore[arg-type]
