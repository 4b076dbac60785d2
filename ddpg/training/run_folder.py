"""A run's folder: the name that it has unless another is given, and one process in it at a time."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from ddpg.base.errors import InputError
from ddpg.training.settings import Settings


def strategy(stop: object, freeze: object, bootstrap_actor: object) -> str:
    """Return a folder's name, which TensorBoard shows the beginning of: the usual freeze goes without saying."""
    return "-".join(map(str, [stop, *([freeze] if freeze != "requires_grad" else []), bootstrap_actor]))


def default_folder(settings: Settings) -> Path:
    """Return `runs/<strategies>/<env>/<seed>/<time>`, as conf/train.yaml writes it for the command."""
    name = strategy(settings.gradient_stop["name"], settings.critic_freeze["name"], settings.agent.bootstrap_actor)
    time = f"{datetime.now():%Y-%m-%d_%H-%M-%S-%f}"
    return Path("runs", name, settings.env.id, str(settings.seed), time)


@contextmanager
def alone(folder: Path, patience: float = 0) -> Iterator[None]:
    """Make the folder; refuse a run that another process is training. Its lock ends with it, however that ends."""
    with ExitStack() as stack:
        try:
            stack.enter_context(FileLock(folder / ".lock", timeout=patience))
        except Timeout:
            raise InputError(f"{folder}: another process is training this run; wait for it, or stop it.") from None
        except OSError as error:
            raise InputError(f"{folder}: cannot be made ({error.strerror}); choose another folder.") from error
        yield
