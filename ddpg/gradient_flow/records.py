"""What an audit writes down: backward passes, optimizer steps, findings."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor
from torch.utils.weak import TensorWeakRef

from ddpg.gradient_flow.places import Place


@dataclass(eq=False)
class Contribution:
    """What one backward pass added to the gradient of one parameter.

    Attributes:
        backward: the pass; None for a gradient that no recorded pass explains.
        norm: of what this pass contributed.
        applied: the indices of the steps that applied it.
        replaced: whether another tensor was put in the gradient's place.
    """

    backward: "Backward | None"
    norm: float = 0.0
    gradient: Tensor | None = None
    applied: list[int] = field(default_factory=list)
    replaced: bool = False


@dataclass(frozen=True)
class Crossing:
    """Where a module's output entered the rest of a loss: the place where a stop would stand.

    Attributes:
        place: the user's call of the module.
        path: the graph between, from the loss to the module.
    """

    place: Place
    path: tuple[str, ...]


@dataclass(eq=False)
class Backward:
    """One backward pass.

    Attributes:
        index: its place among all passes and steps of the audit.
        stack: the user's calls that led to it, innermost first.
        loss: the value; None if it was not a single number.
        reached: for each module that got a gradient, the norm of what this pass contributed.
        parameters: for each of these, which parameters.
        bytes: of the tensors that the graph held, parameters not counted.
        crossings: with tracing, for each module in the graph, where its output entered the loss.
    """

    index: int
    stack: tuple[Place, ...]
    loss: float | None
    bytes: int = 0
    reached: dict[str, float] = field(default_factory=dict)
    parameters: dict[str, tuple[str, ...]] = field(default_factory=dict)
    crossings: dict[str, tuple[Crossing, ...]] = field(default_factory=dict)
    outputs: list[TensorWeakRef] = field(default_factory=list)
    # What tells one loss from another: where it is called from, and of which operations it is made.
    kind: tuple[object, ...] = ()
    leaves: list[str | None] = field(default_factory=list)  # keys of the parameters in the graph, by bit
    contributions: dict[str, Contribution] = field(default_factory=dict)
    bytes_by_reach: Mapping[int, int] = field(default_factory=dict)
    work_by_reach: Mapping[int, float] = field(default_factory=dict)
    beside: list[int] = field(default_factory=list)

    @property
    def place(self) -> Place:
        """The line that called it."""
        return self.stack[0]

    @property
    def file(self) -> str:
        """The file that called it."""
        return self.place.file

    @property
    def line(self) -> int:
        """The line that called it."""
        return self.place.line


@dataclass
class ParameterStep:
    """What a step did to one parameter that its optimizer holds."""

    size: int
    moved: bool = False
    gradient: float | None = None  # the norm of what the step applied; None where there was no gradient
    contributions: list[Contribution] = field(default_factory=list)


@dataclass(eq=False)
class Step:
    """One optimizer step.

    Attributes:
        index: its place among all passes and steps of the audit.
        place: the user's line that called it.
        optimizer: the class's name.
        holds: the modules that the optimizer holds, in part or whole.
        moved: for each module that really moved, the norm of its change.
        applied: for each module that it holds, the norm of the gradient that the step applied; 0 where it had none.
        sources: for each module with a gradient, the backward passes that it came from; None is one not recorded.
    """

    index: int
    place: Place
    optimizer: str
    optimizer_id: int
    settings: Mapping[str, float]  # what moves weights without a gradient: weight decay, momentum
    holds: tuple[str, ...] = ()
    moved: dict[str, float] = field(default_factory=dict)
    applied: dict[str, float] = field(default_factory=dict)
    sources: dict[str, tuple[Backward | None, ...]] = field(default_factory=dict)
    parameters: dict[str, ParameterStep] = field(default_factory=dict)  # by key; those of unnamed modules too

    @property
    def file(self) -> str:
        """The file that called it."""
        return self.place.file

    @property
    def line(self) -> int:
        """The line that called it."""
        return self.place.line


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or costs without use.

    Attributes:
        kind: "leak", "stale_gradient", "dead_link", "drift", "waste" or "tracked_target".
        modules: the names of the modules concerned.
        file, line: where to look, as the kind has it.
        message: what happened, and how to mend it.
    """

    kind: str
    modules: tuple[str, ...]
    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"
