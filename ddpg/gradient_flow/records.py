"""The parts of a record: losses with their backward passes, optimizers with their steps, findings.

What repeats is counted, so that a record grows with the code and not with the time that it is open.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor
from torch.utils.weak import TensorWeakRef

from ddpg.gradient_flow.diagram import Diagram
from ddpg.gradient_flow.places import Lines, Place, Site, Sited
from ddpg.gradient_flow.tensors import rows_moved


@dataclass(frozen=True)
class Lost:
    """How a gradient went without a step having applied it.

    Attributes:
        how: "cleared" by zero_grad or with zeros, "dropped" by None, "skipped" by a gradient scaler; "gone" where only
            its absence was seen.
        site: the line that did it; None where it is not known.
        after: the first step between the pass and that line.
        before: the step of an optimizer that holds the parameter, if it came next and so found nothing.
    """

    how: str
    site: Site | None = None
    after: "Stepping | None" = None
    before: "Stepping | None" = None


@dataclass
class Use:
    """Fate of the gradients that a loss has sent to one parameter, as numbers of passes."""

    passes: int = 0
    applied: int = 0
    taken: int = 0  # replaced or returned: the user's own affair
    lost: Counter[Lost] = field(default_factory=Counter)

    @property
    def waiting(self) -> int:
        """Number of passes whose gradient is still there and has not been applied."""
        return self.passes - self.applied - self.taken - sum(self.lost.values())

    @property
    def unused(self) -> int:
        """Number of passes whose gradient nothing has applied, but for what a scaler leaves out on overflow."""
        return self.waiting + sum(count for lost, count in self.lost.items() if lost.how != "skipped")


@dataclass(eq=False)
class Contribution:
    """What one backward pass added to the gradient of one parameter.

    Attributes:
        backward: the pass; None for a gradient that no recorded pass explains.
        key: the parameter's.
        norm: of what this pass contributed.
        applied: the indices of the steps that applied it.
        by: the optimizer's number of the latest of them.
        replaced: whether another tensor was put in the gradient's place.
        alone: whether there was no gradient before it.
        lost: how it went unapplied.
    """

    backward: "Backward | None"
    key: str = ""
    norm: float = 0.0
    applied: list[int] = field(default_factory=list)
    by: "Stepping | None" = None
    replaced: bool = False
    alone: bool = False
    lost: Lost | None = None

    @property
    def use(self) -> Use:
        """The count of its fate."""
        return Use() if self.backward is None else self.backward.of.uses[self.key]

    def apply(self, event: int, by: "Stepping | None" = None) -> None:
        """Count it as applied by a step, or by the user's code."""
        if not self.applied:
            self.recover()
            self.use.taken -= self.replaced
            self.use.applied += 1
        self.applied.append(event)
        self.by = by

    def replace(self) -> None:
        """Count it as replaced: the user's code has put another tensor in the gradient's place."""
        if not self.replaced and not self.applied and self.lost is None:
            self.use.taken += 1
            self.replaced = True

    def lose(self, lost: Lost) -> None:
        """Count it as lost: it is gone, and nothing has applied it."""
        if not self.applied and not self.replaced:
            self.recover()
            self.use.lost[lost] += 1
            self.lost = lost

    def recover(self) -> None:
        """Take back that it was lost."""
        if self.lost is not None:
            self.use.lost[self.lost] -= 1
            self.use.lost += Counter()  # without those of none
            self.lost = None


@dataclass(frozen=True)
class Crossing(Sited):
    """Where a module's output entered the rest of a loss: the place where a stop would stand.

    Attributes:
        site, place: the user's call of the module.
        path: the graph between, from the loss to the module.
    """

    site: Site
    path: tuple[str, ...]


class _Named:
    """Base of what is told from others of its kind by the user's line that leads to it."""

    stacks: list[tuple[Place, ...]]
    among: "Mapping[object, _Named]"
    lines: Lines

    def meets(self, stack: tuple[Place, ...]) -> None:
        """Note one call stack that has led here."""
        self.lines.meet(stack)
        if len(self.stacks) < 4 and stack not in self.stacks:
            self.stacks.append(stack)

    @property
    def place(self) -> Place:
        """The user's line: the innermost at which its calls differ from those of all others."""
        own = set(self.stacks)
        others = (each for other in self.among.values() for each in other.stacks if each not in own)
        return self.lines.name(self.stacks, others)


@dataclass(eq=False)
class Structure:
    """One shape that a loss's graph has had.

    Attributes:
        leaves: keys of the parameters in the graph, by bit; None for what is none.
        beside, away, bytes_by_reach, work_by_reach: as of the graph.
        crossings: with tracing, for each module in the graph, where its output entered the loss.
        diagram: with tracing, the graph as it is drawn.
        passes: that had it.
    """

    leaves: list[str | None]
    beside: list[int]
    away: list[int]
    bytes_by_reach: Mapping[int, int]
    work_by_reach: Mapping[int, float]
    crossings: dict[str, tuple[Crossing, ...]] = field(default_factory=dict)
    diagram: Diagram | None = None
    passes: int = 0

    @property
    def bytes(self) -> int:
        """Bytes of the tensors that the graph holds, parameters not counted."""
        return sum(self.bytes_by_reach.values())

    def through(self, keys: Collection[str]) -> int:
        """Return bits of the leaves that a gradient comes to through these parameters' operations, theirs included."""
        found = 0
        for bit, key in enumerate(self.leaves):
            found |= self.beside[bit] if key in keys else 0
        return found

    def behind(self, keys: Collection[str]) -> list[str | None]:
        """Return keys of those leaves."""
        through = self.through(keys)
        return [key for bit, key in enumerate(self.leaves) if through >> bit & 1]

    def graph_keys(self) -> list[str]:
        """Return keys of the parameters in the graph, and in graphs that a detach cut off from it."""
        cut_off = self.diagram.cut_off().values() if self.diagram is not None else ()
        behind = [key for operations in cut_off for each in operations for key in each.parameters]
        return [key for key in self.leaves if key is not None] + behind


@dataclass(eq=False)
class Loss(_Named):
    """All backward passes of one loss: the same line sends them backward, through the same operations and modules.

    Attributes:
        among, lines: all losses, and where all of them happened.
        number: its row in the table.
        passes: how many there were.
        structures: the latest shapes that its graph has had.
        uses: what became of its gradients, by parameter.
    """

    among: "Mapping[object, _Named]" = field(repr=False)
    lines: Lines = field(repr=False)
    number: int
    stacks: list[tuple[Place, ...]] = field(default_factory=list)
    passes: int = 0
    structures: list[Structure] = field(default_factory=list, repr=False)
    uses: dict[str, Use] = field(default_factory=lambda: defaultdict(Use), repr=False)

    @property
    def crossings(self) -> dict[str, tuple[Crossing, ...]]:
        """For each module, where its output entered the loss, in any pass."""
        found: dict[str, dict[Crossing, None]] = defaultdict(dict)
        for structure in self.structures:
            for module, crossings in structure.crossings.items():
                found[module] |= dict.fromkeys(crossings)
        return {module: tuple(crossings) for module, crossings in found.items()}


class _Event:
    """Base of what a line of the user's has called."""

    of: "Loss | Stepping"

    @property
    def place(self) -> Place:
        """The user's line."""
        return self.of.place

    @property
    def file(self) -> str:
        """The file of the user's line."""
        return self.place.file

    @property
    def line(self) -> int:
        """The number of the user's line."""
        return self.place.line


@dataclass(eq=False)
class Backward(_Event):
    """One backward pass; or several older ones of a loss, with the latest numbers.

    Attributes:
        index: its place among all passes and steps of the audit.
        of: the loss.
        place: the user's line that called it; `file` and `line` give its parts.
        stack: the user's calls that led to it, innermost first.
        loss: the value; None if it was not a single number.
        reached: for each module that got a gradient, the norm of what this pass contributed.
        parameters: for each of these, which parameters.
        bytes: of the tensors that the graph held, parameters not counted; 0 if PyTorch does not tell, as 2.8 does not.
        crossings: with tracing, for each module in the graph, where its output entered the loss.
        diagram: with tracing, the graph as it is drawn.
        times: how many passes this stands for.
    """

    index: int
    of: Loss
    structure: Structure = field(repr=False)
    stack: tuple[Place, ...]
    loss: float | None
    reached: dict[str, float] = field(default_factory=dict)
    parameters: dict[str, tuple[str, ...]] = field(default_factory=dict)
    outputs: list[TensorWeakRef] = field(default_factory=list)
    contributions: dict[str, Contribution] = field(default_factory=dict, repr=False)
    parted: int | None = None  # when part of what it gave was cleared
    followed_by: "Stepping | None" = None  # the first step after it
    times: int = 1

    @property
    def bytes(self) -> int:
        """Bytes of the tensors that the graph held, parameters not counted."""
        return self.structure.bytes

    @property
    def crossings(self) -> dict[str, tuple[Crossing, ...]]:
        """With tracing, for each module in the graph, where its output entered the loss."""
        return self.structure.crossings

    @property
    def diagram(self) -> Diagram | None:
        """With tracing, the graph as it is drawn."""
        return self.structure.diagram

    def absorb(self, later: "Backward") -> None:
        """Count a later pass of the same loss here."""
        self.times += later.times
        self.loss = later.loss
        self.reached |= later.reached
        self.parameters |= later.parameters


@dataclass
class Span:
    """Which of an optimizer's steps something was seen in: the first, the latest, and how many."""

    first: int
    last: int
    count: int = 0

    def seen(self, index: int) -> None:
        """Count one more step."""
        self.last = index
        self.count += 1


@dataclass(eq=False)
class Rows:
    """Rows of a matrix of whose gradient the user's code zeroed some, in one step or more; of each row, whether ever.

    Attributes:
        site: the line that zeroed.
        zeroed: the code has zeroed its gradient.
        alive: there was a gradient in a step all the same.
        moved: it has moved, and was not put back before the next step.
        start: the matrix before the latest step; None once that has been looked at.
        still: the rows that step should have left as they were.
    """

    site: Site
    zeroed: Tensor
    alive: Tensor
    moved: Tensor
    start: Tensor | None
    still: Tensor

    def together(self, later: "Rows") -> "Rows":
        """Return these and a later step's as one."""
        if self.zeroed.shape != later.zeroed.shape:
            return later
        zeroed, alive, moved = self.zeroed | later.zeroed, self.alive | later.alive, self.moved | later.moved
        return Rows(later.site, zeroed, alive, moved, later.start, later.still)

    def look(self, now: Tensor) -> None:
        """Note which rows the latest step has moved, given the matrix as it is now."""
        if self.start is not None and self.start.shape == now.shape:
            self.moved = self.moved | (self.still & rows_moved(self.start, now))
        self.start = None

    @property
    def drifted(self) -> int:
        """Number of rows that have moved though they never had a gradient in a step."""
        return int((self.zeroed & ~self.alive & self.moved).sum())


@dataclass
class Held:
    """What an optimizer's steps did to one parameter that it holds, as numbers of steps.

    Attributes:
        size: of the parameter, in numbers.
        moved: it moved.
        gradients: there was a gradient.
        squares: the sum of its squared norms.
        frozen: it required no gradient.
        drifted: it moved though its gradient was None.
        rows: those whose gradient the user's code had zeroed.
        sources: the losses whose gradients moved it, those left over apart.
        stale: those left over from before an earlier step; "again" if that step had applied them already.
        together: pairs of losses that it applied in one step, and whether part of the first had been cleared before the
            second went backward.
        twice: the losses whose one gradient another optimizer's step had just applied.
    """

    size: int
    moved: int = 0
    gradients: int = 0
    squares: float = 0.0
    frozen: int = 0
    drifted: int = 0
    rows: Rows | None = None
    sources: dict[Loss, Span] = field(default_factory=dict)
    stale: Counter[tuple[Loss, bool]] = field(default_factory=Counter)
    together: Counter[tuple[Loss, Loss, bool]] = field(default_factory=Counter)
    twice: Counter[tuple[Loss, "Stepping"]] = field(default_factory=Counter)


@dataclass(eq=False)
class Stepping(_Named):
    """All steps of one optimizer at one line.

    Attributes:
        among, lines: all of these, and where all of them happened.
        optimizer: the class's name.
        number: what tells an optimizer from others.
        name: what the user's code calls it; empty if that is not known. `made`: where it was made, likewise.
        settings: what moves weights without a gradient: weight decay, momentum.
        all_held: the names of all parts that the optimizer holds, in part or whole; `holds`: of those that are shown.
        steps: how many there were.
        held: by key of a parameter, those of unnamed modules too.
        dead: steps with nothing to apply, before which no pass reached what it holds.
        drifts: steps that moved a module though all of its gradient was zero, by module and whether it was a pass that
            gave the zeros, after it had given more before.
    """

    among: "Mapping[object, _Named]" = field(repr=False)
    lines: Lines = field(repr=False)
    optimizer: str
    number: int
    settings: Mapping[str, float]
    name: str = ""
    made: Site | None = None
    shown: Sequence[str] = field(repr=False, default=())
    all_held: tuple[str, ...] = ()
    stacks: list[tuple[Place, ...]] = field(default_factory=list)
    steps: int = 0
    held: dict[str, Held] = field(default_factory=dict, repr=False)
    dead: int = 0
    drifts: Counter[tuple[str, bool]] = field(default_factory=Counter)

    @property
    def holds(self) -> tuple[str, ...]:
        """The modules that the optimizer holds, in part or whole."""
        return tuple(name for name in self.shown if name in self.all_held)

    def __str__(self) -> str:
        return f"{self.name or self.optimizer} at {self.place}"


@dataclass(eq=False)
class Step(_Event):
    """One optimizer step; or several older ones at one line, with the latest numbers.

    Attributes:
        index: its place among all passes and steps of the audit.
        of: the steps at this line.
        place: the user's line that called it; `file` and `line` give its parts.
        optimizer: the class's name.
        holds: the modules that the optimizer holds, in part or whole.
        moved: for each module that really moved, the norm of its change.
        applied: for each module that it holds, the norm of the gradient that the step applied; 0 where it had none.
        sources: for each module with a gradient, the backward passes that it came from, also where it was scaled or
            clipped in place since; None stands for a gradient put there by other means.
        times: how many steps this stands for.
    """

    index: int
    of: Stepping
    moved: dict[str, float] = field(default_factory=dict)
    applied: dict[str, float] = field(default_factory=dict)
    sources: dict[str, tuple[Backward | None, ...]] = field(default_factory=dict)
    times: int = 1

    @property
    def optimizer(self) -> str:
        """The name of the optimizer's class."""
        return self.of.optimizer

    @property
    def holds(self) -> tuple[str, ...]:
        """The modules that the optimizer holds, in part or whole."""
        return self.of.holds

    def absorb(self, later: "Step") -> None:
        """Count a later step at the same line here."""
        self.times += later.times
        self.moved |= later.moved
        self.applied |= later.applied
        self.sources |= later.sources


@dataclass
class Writes:
    """The changes of a parameter outside any step.

    Attributes:
        last: when the latest was.
        sources: the parameters whose copies or blends they were, each with a number; None: of none.
    """

    last: int
    sources: Counter[str | None] = field(default_factory=Counter)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, may be, or costs without use.

    Attributes:
        kind: as `ddpg.gradient_flow` lists them.
        severity: "fault", "hint" or "cost".
        modules: the names of the modules concerned.
        file, line: where to look, as the kind has it.
        headline: what happened, in a line.
        cause: by which losses and steps, how often, and why where that is known.
        mend: what to do.
        at: the losses, and the steps of optimizers, in which it shows.
    """

    kind: str
    severity: str
    modules: tuple[str, ...]
    file: str
    line: int
    headline: str
    cause: str
    mend: str
    at: tuple[Loss | Stepping, ...] = field(default=(), repr=False)

    @property
    def message(self) -> str:
        """Headline, cause and mend."""
        headline = f"{self.headline[0].upper()}{self.headline[1:]}."
        return " ".join(filter(None, (headline, self.cause, self.mend)))

    def __str__(self) -> str:
        return f"{self.kind} ({self.severity}): {self.message}"


def listed(names: Iterable[str], most: int = 6) -> str:
    """Join names for a sentence; of many the first few."""
    each = list(dict.fromkeys(names))
    if len(each) > most:
        return f"{', '.join(each[: most - 1])} and {len(each) - most + 1} more"
    return " and ".join(filter(None, [", ".join(each[:-1]), *each[-1:]]))


def size_of(size: float) -> str:
    """Return a number of bytes with its unit."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.3g} {unit}"
        size /= 1000
    raise AssertionError
