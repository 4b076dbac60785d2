"""The audit: which backward pass reached which module, which step moved it, and what of that is wrong."""

import os
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from torch import Tensor, nn

from ddpg.gradient_flow import interception
from ddpg.gradient_flow.diagram import mermaid
from ddpg.gradient_flow.findings import findings
from ddpg.gradient_flow.recorder import Recorder
from ddpg.gradient_flow.records import Backward, Finding, Step
from ddpg.gradient_flow.table import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class GradientFlow:
    """Records where gradients go, around any PyTorch training code.

        with GradientFlow(actor=actor, critic=critic) as flow:
            train()
        print(flow)

    It sees what the thread that opened it does: every backward pass, however it is called, and every step of a
    `torch.optim.Optimizer`. The code is left as it is, and so are its numbers. Audits may be nested.

    Args:
        modules: a dict of modules by name, in place of keywords or beside them.
        trace: also follow the forward pass, for the line where a module's output enters a loss and for pictures.
        shared: names of modules that several losses are meant to train.
        named: the modules to look at, by name; they may share parameters, or contain each other.

    Attributes:
        backwards: one `Backward` a pass, in order.
        steps: one `Step` an optimizer step, in order.

    Raises:
        TypeError: if there is no module, or something else is given for one.
        ValueError: if `shared` names no module.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module] | nn.ModuleDict | None = None,
        /,
        *,
        trace: bool = False,
        shared: str | Collection[str] = (),
        **named: nn.Module,
    ) -> None:
        if modules is not None and not isinstance(modules, (Mapping, nn.ModuleDict)):
            raise TypeError(f"a {type(modules).__name__} gives modules no names: pass them by keyword, or in a dict.")
        if not isinstance(trace, bool) or isinstance(shared, nn.Module):
            raise TypeError("trace and shared are GradientFlow's own arguments: pass a module of that name in a dict.")
        everything = {**dict((modules or {}).items()), **named}
        for name, module in everything.items():
            if not isinstance(module, nn.Module):
                raise TypeError(
                    f"{name}: a {type(module).__name__} is no module; GradientFlow takes torch.nn.Modules by name, and "
                    "a lone parameter as torch.nn.ParameterList([parameter])."
                )
        if not everything:
            raise TypeError("there is nothing to look at: name one module or more, GradientFlow(actor=actor).")
        self._shared = frozenset([shared] if isinstance(shared, str) else shared)
        self._record = Recorder(everything, trace)
        self._names(self._shared)
        self._state = "new"

    def __enter__(self) -> Self:
        if self._state != "new":
            raise RuntimeError("an audit records once: make a new GradientFlow for every with.")
        self._state = "open"
        with ExitStack() as undo:
            undo.callback(self._record.close)
            self._record.open()
            interception.watch(self._record)
            undo.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        interception.unwatch(self._record)
        self._record.close()
        self._state = "closed"

    @property
    def backwards(self) -> list[Backward]:
        """The backward passes, in order."""
        return self._record.backwards

    @property
    def steps(self) -> list[Step]:
        """The optimizer steps, in order."""
        return self._record.steps

    def findings(self) -> list[Finding]:
        """What is wrong, worst first: leaks, stale gradients, dead links, drifts, waste, tracked targets.

        `ddpg.gradient_flow` says what each kind means.
        """
        return findings(self._record, self._shared)

    def __str__(self) -> str:
        return table(self._record, self.findings())

    def figure(self, by: Tensor | str | None = None) -> "Figure":
        """The graph of a loss as a matplotlib figure, with what its gradient reached and what steps did with it.

        Needs an audit with `trace=True`.

        Args:
            by: the loss, or the name of a function that its backward pass was called in; without it the first pass.

        Raises:
            ValueError: if there is no such pass, or nothing was traced.
        """
        from ddpg.gradient_flow.picture import figure

        return figure(self._pass(by))

    def draw(self, path: str | os.PathLike[str], by: Tensor | str | None = None) -> None:
        """Write `figure` to a file; its ending says how: .svg, .png, .pdf."""
        self.figure(by).savefig(path, dpi=200)

    def mermaid(self, by: Tensor | str | None = None) -> str:
        """The graph of a loss as text, which GitHub, GitLab and many editors draw; `by` as in `figure`."""
        return mermaid(self._pass(by))

    def _pass(self, by: Tensor | str | None) -> Backward:
        passes = [each for each in self.backwards if by is None or _is_by(each, by)]
        if not passes:
            raise ValueError(f"there was no backward pass{_called(by)} to draw.")
        if passes[0].diagram is None:
            raise ValueError("nothing was traced: a picture needs GradientFlow(…, trace=True).")
        if not passes[0].diagram.operations:
            raise ValueError(f"the loss of {passes[0].place} is a parameter itself: there is no graph to draw.")
        return passes[0]

    def assert_moved(self, *modules: str, only: str | Collection[str] | None = None) -> None:
        """Steps moved these modules; with `only`, these and no others.

        Raises:
            AssertionError: with the table, if not.
        """
        __tracebackhide__ = True
        exactly = {only} if isinstance(only, str) else set(only or ())
        self._names({*modules, *exactly})
        moved = {name for step in self.steps for name in step.moved}
        for name in self._record.names:
            self._require(name in moved or name not in {*modules, *exactly}, f"no step moved {name}.")
            self._require(
                only is None or name not in moved or name in exactly,
                f"a step moved {name}, and only {_listed(exactly)} should have moved.",
                name,
            )

    def assert_untouched(self, *modules: str) -> None:
        """Not one bit of these modules' parameters has changed, by a step or otherwise.

        Raises:
            AssertionError: with the table, if it has.
        """
        __tracebackhide__ = True
        self._names(modules)
        written = {name for key, writes in self._record.writes.items() if writes for name in self._record.owners[key]}
        for name in modules:
            for step in self.steps:
                self._require(name not in step.moved, f"{step.optimizer} at {step.place} moved {name}.", name)
            self._require(name not in written, f"{name} was written to outside any optimizer's step.")

    def assert_reached(self, *modules: str, by: Tensor | str | None = None) -> None:
        """A backward pass gave these modules a gradient.

        Args:
            modules: names.
            by: which pass: the loss, or the name of a function that it was called in, directly or not. Without it, any.

        Raises:
            AssertionError: with the table, if none did.
        """
        __tracebackhide__ = True
        self._names(modules)
        passes = [each for each in self.backwards if by is None or _is_by(each, by)]
        where = _called(by)
        self._require(bool(passes), f"there was no backward pass{where}.")
        for name in modules:
            reached = any(each.reached.get(name) for each in passes)
            self._require(reached, f"no backward pass{where} reached {name}.")

    def _require(self, condition: bool, message: str, module: str = "") -> None:
        __tracebackhide__ = True
        if not condition:
            crossings = [
                f"\n{module} entered the loss of {each.place} at {crossing.place}: {' ← '.join(crossing.path)}"
                for each in self.backwards
                for crossing in each.crossings.get(module, ())
            ]
            raise AssertionError(f"{message}{''.join(dict.fromkeys(crossings))}\n\n{self}")

    def _names(self, names: Collection[str]) -> None:
        for name in names:
            if name not in self._record.names:
                raise ValueError(f"{name}: the audit has no such module; it has {_listed(self._record.names)}.")


def _is_by(backward: Backward, by: Tensor | str) -> bool:
    if isinstance(by, str):
        return any(place.function == by for place in backward.stack)
    return any(each() is by for each in backward.outputs)


def _called(by: Tensor | str | None) -> str:
    return "" if by is None else f" called in {by}" if isinstance(by, str) else " of this loss"


def _listed(names: Collection[str]) -> str:
    return ", ".join(names)
