"""Level at which found modules are shown: whole, or by their parts where those fare differently."""

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ddpg.gradient_flow.record import Record

_MOST_SIDE_BY_SIDE = 8
_MOST_OF_ONE = 12


def levels(record: "Record") -> list[str]:
    """Return the names of the largest parts whose parameters fared alike.

    That is, the same optimizers hold them, the same losses reach them, all or none are copies, and `shared` or `frozen`
    names none of their parts. Of many parts of one module only those that differ from most of it are named.
    """
    fates: dict[str, object] = _fates(record)
    parts = record.weights.parts
    keys: dict[str, set[str]] = defaultdict(set)
    for key, names in record.weights.names.items():
        for name in names:
            keys[name].add(key)
    now = {each.key for each in record.weights.named().values()}  # without what was replaced
    keys.update({name: own & now for name, own in keys.items() if own & now})

    children: dict[str, list[str]] = defaultdict(list)
    for name, part in parts.items():
        if keys[name]:
            children[part.around].append(name)

    def holds_declared(name: str) -> bool:
        return any(each in record.declared or holds_declared(each) for each in children[name])

    def shown(name: str) -> list[str]:
        inner = children[name]
        if not inner or (len({fates[key] for key in keys[name]}) < 2 and not holds_declared(name)):
            return [name]
        if len(inner) <= _MOST_SIDE_BY_SIDE:
            several = [each for child in inner for each in shown(child)]
            return several if len(several) <= _MOST_OF_ONE else [name]
        counted: dict[object, int] = defaultdict(int)
        for key in keys[name]:
            counted[fates[key]] += 1
        usual = max(counted, key=lambda fate: counted[fate])
        return [name, *(child for child in inner if all(fates[key] != usual for key in keys[child]))]

    roots = [name for name, part in parts.items() if not part.inside and keys[name]]
    return [each for name in sorted(roots, key=lambda name: parts[name].rank) for each in shown(name)]


def _fates(record: "Record") -> dict[str, object]:
    """Return by key what became of each parameter: its optimizers, its losses, whether it is a copy that is held."""
    holders: dict[str, set[int]] = defaultdict(set)
    for stepping in record.steppings.values():
        for key in stepping.held:
            holders[key].add(stepping.number)
    reached: dict[str, set[str]] = defaultdict(set)
    for loss in record.losses.values():
        place = str(loss.place)
        for key, use in loss.uses.items():
            if use.passes:
                reached[key].add(place)
    copied = {key for key, writes in record.weights.writes.items() if any(writes.sources)}
    return {
        key: (frozenset(holders.get(key, ())), frozenset(reached[key]), key in copied and key in holders)
        for key in record.weights.names
    }
