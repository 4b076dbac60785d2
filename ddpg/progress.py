"""Signs of life."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm


@contextmanager
def under_way(doing: str) -> Iterator[None]:
    """Show that something is under way, and for how long."""
    done = threading.Event()
    with tqdm(bar_format="{desc} {elapsed}", desc=doing, leave=False) as bar:

        def tick() -> None:
            while not done.wait(0.5):
                bar.refresh()

        clock = threading.Thread(target=tick, daemon=True)
        clock.start()
        try:
            yield
        finally:
            done.set()
            clock.join()
