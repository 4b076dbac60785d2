"""Notes on what an audit could not see, so that "nothing found" is not said of what was not looked at."""

from collections.abc import Iterator

from ddpg.gradient_flow import private
from ddpg.gradient_flow.cases import moved, subjects
from ddpg.gradient_flow.recorder import Recorder
from ddpg.gradient_flow.records import listed


def notes(record: Recorder) -> Iterator[str]:
    """Yield the notes, one sentence or two each."""
    yield from private.lost(record.untraced)
    yield from missing(record)
    if record.discovery is not None and record.discovery.trouble:
        yield f"The search for modules met with an error, and may have missed some: {record.discovery.trouble}."
    if record.discovery is not None and record.discovery.left_out:
        yield f"There were more modules than are looked at: {counted(record.discovery.left_out, 'module')} left out."
    for name in dict.fromkeys(record.weights.parts[name].inside or name for name in record.names):
        part = record.weights.parts[name]
        hidden = list(part.unregistered)
        own = [key for key, names in record.weights.names.items() if name in names]
        if hidden:
            registered = any(not key.startswith(tuple(f"{name}.{path}" for path in hidden)) for key in own)
            none = "" if registered else f"{name} has no parameters that it registers: "
            yield (
                f"{none}{listed((f'{name}.{path}' for path in hidden), 3)} lies in plain attributes, a list or a dict, "
                f"and so is not among {name}.parameters(). It is looked at all the same; nn.ModuleList and "
                "nn.Parameter register."
            )
        elif not own:
            yield f"{name} has no parameters: there is nothing in it that a gradient could reach or a step move."
    strangers = {(str(each), len(each.held)): each for each in record.steppings.values() if not each.holds}
    for place, number in strangers:
        yield (
            f"{place} holds {counted(number, 'parameter')}, none of them of {listed(record.names)}: what it trains was "
            "not looked at."
        )
    for optimizer, site in record.idle.values():
        yield f"{optimizer} was made at {site}, and did not step while this was recorded."
    for thread, count in record.elsewhere.items():
        yield (
            f"In the thread {thread} there ran {counted(count, 'pass or step', 'passes and steps')}, which this audit "
            "does not see: open it in the thread that trains."
        )
    if not record.losses and not record.steppings:
        yield "Nothing was recorded: no backward pass and no optimizer step" + (
            " in the thread that opened the audit." if record.elsewhere else "."
        )
    reached = {key for loss in record.losses.values() for key in loss.uses}
    strange = [
        key
        for key, writes in record.weights.writes.items()
        if None in writes.sources and key in record.weights.asked and key not in reached | moved(record)
    ]
    if strange:
        names = dict.fromkeys(name for key in strange for name in record.weights.specific(key))
        yield (
            f"{listed(subjects(record, tuple(names), strange), 3)} changed without a gradient or a step that was seen, "
            "and is no copy or average of others: by hand, in compiled code, or in another thread."
        )
    if record.skipped:
        yield f"The gradient scaler left out {counted(record.skipped, 'step')}, as it does until its scale fits."


def missing(record: Recorder) -> Iterator[str]:
    """Yield a sentence for each name that the user has given and that no module has."""
    found = f"what was found: {listed(record.weights.parts, 12) or 'nothing'}"
    for name in sorted(record.declared - record.weights.parts.keys()):
        yield f"{name} was said to be shared or frozen, and no module of that name was found; {found}."
    for name, path in record.discovery.paths.items() if record.discovery is not None else ():
        yield f"{name}={path}: no variable of the running code has a module there; {found}."


def counted(number: int, noun: str, nouns: str = "") -> str:
    """Return a number of things in words: "1 step", "2 steps"."""
    return f"{number} {noun}" if number == 1 else f"{number} {nouns or f'{noun}s'}"
