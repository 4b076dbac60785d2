"""What an audit writes down: backward passes, optimizer steps, findings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch.utils.weak import TensorWeakRef

from ddpg.gradient_flow.places import Place

if TYPE_CHECKING:
    from ddpg.gradient_flow.diagram import Diagram


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


@dataclass(frozen=True)
class Call:
    """One call of a named module by the user's code; `number` counts them all."""

    name: str
    place: Place
    number: int


@dataclass(eq=False)
class Operation:
    """One operation of a traced forward pass.

    Attributes:
        name: of the function.
        module: the innermost named module that it ran in, "critic.2"; empty outside all.
        calls: the calls that it is part of, one for each named module, the latest last.
        place: the user's line.
        inputs: the operations that made its arguments.
        parameters: named parameters among its arguments.
        recorded: whether the graph records it.
        grad_mode: whether it ran with gradients enabled.
        rooted: whether a named parameter stands behind its value, `trainable`: one that required a gradient.
        bytes: of the tensors in the graph behind its arguments, if it is a detach from them.
        age: how many operations lie behind it.
    """

    name: str
    module: str
    calls: tuple[Call, ...]
    place: Place
    inputs: tuple["Operation", ...]
    parameters: tuple[str, ...]
    recorded: bool
    grad_mode: bool = True
    rooted: bool = False
    trainable: bool = False
    bytes: int = 0
    age: int = 0

    def call_of(self, name: str) -> Call | None:
        """The call of the named module that it is part of."""
        return next((call for call in self.calls if call.name == name), None)

    @property
    def label(self) -> str:
        """What a path calls it: a submodule by its name, anything else by its operation."""
        return self.module if self.module and (self.parameters or "." in self.module) else self.name


class _Called:
    """Something that a line of the user's called."""

    place: Place

    @property
    def file(self) -> str:
        """The file that called it."""
        return self.place.file

    @property
    def line(self) -> int:
        """The line that called it."""
        return self.place.line


@dataclass(eq=False)
class Backward(_Called):
    """One backward pass.

    Attributes:
        index: its place among all passes and steps of the audit.
        place: the user's line that called it; `file` and `line` give its parts.
        stack: the user's calls that led to it, innermost first.
        loss: the value; None if it was not a single number.
        reached: for each module that got a gradient, the norm of what this pass contributed.
        parameters: for each of these, which parameters.
        bytes: of the tensors that the graph held, parameters not counted.
        crossings: with tracing, for each module in the graph, where its output entered the loss.
        diagram: with tracing, the graph as it is drawn.
        next_step: the optimizer step that came after it, if one did.

    What else there is serves the findings.
    """

    index: int
    place: Place
    stack: tuple[Place, ...]
    loss: float | None
    bytes: int = 0
    reached: dict[str, float] = field(default_factory=dict)
    parameters: dict[str, tuple[str, ...]] = field(default_factory=dict)
    crossings: dict[str, tuple[Crossing, ...]] = field(default_factory=dict)
    diagram: "Diagram | None" = None
    next_step: "Step | None" = None
    outputs: list[TensorWeakRef] = field(default_factory=list)
    # What tells one loss from another: the line that calls it, and which operations and parameters it is made of.
    kind: tuple[object, ...] = ()
    leaves: list[str | None] = field(default_factory=list)  # keys of the parameters in the graph, by bit
    contributions: dict[str, Contribution] = field(default_factory=dict)
    bytes_by_reach: Mapping[int, int] = field(default_factory=dict)
    work_by_reach: Mapping[int, float] = field(default_factory=dict)
    beside: list[int] = field(default_factory=list)
    away: list[int] = field(default_factory=list)  # for each leaf, how many other modules lie before it

    def graph_keys(self) -> list[str]:
        """Keys of the parameters in the graph, and in graphs that a detach cut off from it."""
        cut_off = self.diagram.cut_off().values() if self.diagram is not None else ()
        behind = [key for operations in cut_off for each in operations for key in each.parameters]
        return [key for key in self.leaves if key is not None] + behind


@dataclass
class ParameterStep:
    """What a step did to one parameter that its optimizer holds."""

    size: int
    moved: bool = False
    gradient: float | None = None  # the norm of what the step applied; None where there was no gradient
    contributions: list[Contribution] = field(default_factory=list)
    stale: list[Contribution] = field(default_factory=list)  # those left over from before an earlier step


@dataclass(frozen=True)
class Write:
    """A change of a parameter outside any step; `source` is the parameter whose copy or blend it is, if it is one."""

    index: int
    source: str | None


@dataclass(eq=False)
class Step(_Called):
    """One optimizer step.

    Attributes:
        index: its place among all passes and steps of the audit.
        place: the user's line that called it; `file` and `line` give its parts.
        optimizer: the class's name.
        holds: the modules that the optimizer holds, in part or whole.
        moved: for each module that really moved, the norm of its change.
        applied: for each module that it holds, the norm of the gradient that the step applied; 0 where it had none.
        sources: for each module with a gradient, the backward passes that it came from, also where it was scaled or
            clipped in place since; None stands for a gradient put there by other means.
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
