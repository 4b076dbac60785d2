"""Files that are written whole or not at all."""

import os
from pathlib import Path

UNFINISHED = ".unfinished"


def write(path: Path, data: bytes) -> None:
    """Put `data` into the file: whoever reads it, and whenever the machine stops, sees the former content or all of it.

    Raises:
        OSError: if there is no space or no permission; the former file is then as it was.
    """
    unfinished = path.with_name(path.name + UNFINISHED)
    try:
        # Made anew: whatever lies there, a link for instance, is not written through.
        unfinished.unlink(missing_ok=True)
        with open(unfinished, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # elsewhere a folder, and with it the new name, cannot be brought to the disk
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
