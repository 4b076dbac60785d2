"""Environments are filmed without a display, and what cannot be filmed is named."""

import io
import os
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box
from PIL import Image

from ddpg import InputError
from ddpg.watching.video import gif, mp4, renderable, thumbnail


class Filmed(gymnasium.Env):
    """A wide picture that grows brighter from step to step; 50 a second."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 50}  # noqa: RUF012
    observation_space, action_space = Box(-1, 1, (1,)), Box(-1, 1, (1,))

    def __init__(self, render_mode=None, shows=np.uint8):
        self.render_mode, self.shows = render_mode, shows

    def reset(self, *, seed=None, options=None):
        self.brightness = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.brightness += 20
        return np.zeros(1, np.float32), 0.0, False, False, {}

    def render(self):
        return self.shows(np.full((100, 640, 3), self.brightness))


@pytest.fixture
def filmed():
    registry = dict(gymnasium.registry)
    gymnasium.register("Filmed-v0", Filmed)
    yield "Filmed-v0"
    gymnasium.registry.clear()
    gymnasium.registry.update(registry)


@pytest.fixture
def no_display(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("SDL_VIDEODRIVER", "MUJOCO_GL"):  # put back after the test, whoever sets them
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_pendulum_is_filmed_without_a_display(no_display):
    environment = renderable("Pendulum-v1", {"render_mode": "human"})  # overridden
    assert thumbnail(environment).size == (320, 320)
    assert (os.environ["SDL_VIDEODRIVER"], os.environ["MUJOCO_GL"]) == ("dummy", "egl")
    environment.close()


def test_a_gif_shows_every_other_frame_of_fifty_a_second_as_long(filmed):
    environment = renderable(filmed, {})
    frames = []
    for _ in range(6):
        environment.step(np.zeros(1))
        frames.append(thumbnail(environment))
    image = Image.open(io.BytesIO(gif(environment, frames)))
    assert (image.size, image.n_frames, image.info["duration"], image.info["loop"]) == ((320, 50), 3, 40, 0)
    shown = []
    for number in range(3):
        image.seek(number)
        shown.append(image.convert("L").getpixel((100, 20)))
    assert shown == pytest.approx([20, 60, 100], abs=4)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of imageio_ffmpeg's own, reading
def test_an_mp4_holds_the_frames(filmed, tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    environment = renderable(filmed, {})
    video = mp4(environment, tmp_path / "film.mp4")
    for _ in range(5):
        environment.step(np.zeros(1))
        video.send(environment.render().tobytes())
    video.close()
    about, *frames = ffmpeg.read_frames(tmp_path / "film.mp4")
    assert (about["size"], about["fps"], len(frames)) == ((640, 100), 50, 5)
    assert [frame[1000] for frame in frames] == pytest.approx([20, 40, 60, 80, 100], abs=4)


def test_what_cannot_be_filmed_is_named(filmed, own_module):
    _, env_id = own_module("own")
    with pytest.raises(InputError, match=f"^{env_id}: cannot be filmed with render_mode=rgb_array: .*Own"):
        renderable(env_id, {})
    with pytest.raises(InputError, match=r"^Filmed-v0: cannot be filmed with render_mode=rgb_array: "):
        renderable(filmed, {"shows": np.float64})


def test_without_ffmpeg_the_extra_is_named(filmed, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(InputError, match=r"imageio_ffmpeg.*ddpg\[video\]"):
        mp4(renderable(filmed, {}), tmp_path / "film.mp4")
