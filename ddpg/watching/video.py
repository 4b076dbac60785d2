"""Film episodes: the frames that an environment renders, as an animated GIF or an MP4 file."""

import io
import os
import sys
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.envs.registration import EnvSpec
from PIL import Image

from ddpg.base.errors import InputError, blamed, needed
from ddpg.environments import CheckedEnvironment, make_environment


def has_display() -> bool:
    """Return whether a window can be opened."""
    return sys.platform != "linux" or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())


def renderable(
    environment: str | EnvSpec, kwargs: Mapping[str, Any], wrappers: Sequence[str] = ()
) -> CheckedEnvironment:
    """Make an environment of render mode rgb_array, also without a display; `InputError` if it renders no frames."""
    if not has_display():
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
        os.environ.setdefault("MUJOCO_GL", "egl")
    try:
        with warnings.catch_warnings(action="ignore"):  # that there is no such render mode, which is said below
            made = make_environment(environment, kwargs, "rgb_array", wrappers)
        with suppress(AttributeError, KeyError):  # gymnasium 1.4 lets HalfCheetah run out of the picture
            inner: Any = made.unwrapped
            inner.mujoco_renderer.camera_id = inner.model.camera("track").id
        made.reset(seed=0)
        thumbnail(made)
    except Exception as error:  # whatever a stranger's environment or a graphics library may raise
        name = environment if isinstance(environment, str) else environment.id
        mend = "" if has_display() else " Without a display MuJoCo needs EGL: apt-get install libegl1."
        raise InputError(f"{name}: cannot be filmed with render_mode=rgb_array: {blamed(error)}.{mend}") from error
    return made


def thumbnail(environment: CheckedEnvironment) -> Image.Image:
    """Render a frame of at most 320 by 320 pixels and 64 colours."""
    image = Image.fromarray(np.asarray(environment.render()), "RGB")
    image.thumbnail((320, 320))
    return image.quantize(64)


def _fps(environment: CheckedEnvironment) -> float:
    return float(environment.metadata.get("render_fps") or 30)


def gif(environment: CheckedEnvironment, frames: Sequence[Image.Image]) -> bytes:
    """Return the environment's successive frames as an animated GIF of at most 25 frames a second."""
    every = max(1, round(_fps(environment) / 25))  # browsers slow down what is faster
    file, (first, *rest) = io.BytesIO(), frames[::every]
    first.save(file, "GIF", save_all=True, append_images=rest, duration=1000 * every / _fps(environment), loop=0)
    return file.getvalue()


def mp4(environment: CheckedEnvironment, path: Path) -> Generator[None, bytes, None]:
    """Begin an MP4 file, which is sent the bytes of the environment's frames; `InputError` without ffmpeg."""
    (height, width, _), ffmpeg = np.asarray(environment.render()).shape, needed("imageio_ffmpeg", extra="video")
    writer: Generator[None, bytes, None]
    writer = ffmpeg.write_frames(str(path), (width, height), fps=_fps(environment), quality=7, macro_block_size=2)
    next(writer)
    return writer
