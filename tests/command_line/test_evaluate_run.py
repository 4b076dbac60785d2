"""`scripts/evaluate.py` films the episodes and draws the policy."""

import json
import sys

import pytest
from commands import SMALL
from PIL import Image

from ddpg.command_line import evaluate_run
from ddpg.watching.landscape import landscape


@pytest.fixture
def run(command, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    status, _, err = command("train.py", *SMALL, "hydra.run.dir=run", "+env.kwargs.render_mode=rgb_array")
    assert status == 0, err


def test_a_film_and_a_picture_beside_the_same_returns(command, run, tmp_path, monkeypatch):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    drawn = []

    def draw(agent, observed, trajectory):
        drawn.append((observed.shape, trajectory.shape))
        return landscape(agent, observed, trajectory)

    monkeypatch.setattr(evaluate_run, "landscape", draw)
    status, out, err = command("evaluate.py", "run", "--video", "film.mp4", "--picture", "policy.png")
    assert status == 0, err
    returns = json.loads((tmp_path / "run" / "result.json").read_text())["returns"][:3]
    assert f"mean return {sum(returns) / 3:.2f}" in out and "over 3 episodes" in out
    assert ffmpeg.count_frames_and_secs("film.mp4")[0] == 3 * 20
    assert drawn == [((120, 3), (20, 3))]  # the replay buffer, and the last episode
    with Image.open("policy.png") as picture:
        assert picture.size[0] == 850
    status, out, _ = command("evaluate.py", "run", "--video", "film.mp4", "--episodes", "1")
    assert status == 0 and "over 1 episode without" in out
    assert ffmpeg.count_frames_and_secs("film.mp4")[0] == 20


def test_render_opens_a_window_whatever_render_mode_the_run_had(command, run, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")
    modes = []
    monkeypatch.setattr(
        "gymnasium.envs.classic_control.PendulumEnv.render", lambda self: modes.append(self.render_mode)
    )
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    assert command("evaluate.py", "run", "--render", "--episodes", "1")[0] == 0
    assert set(modes) == {"human"}


def test_what_cannot_be_filmed_or_drawn_is_answered_in_a_sentence(command, run, monkeypatch, own_module):
    name, env_id = own_module("own")
    kind = f"{name}:{env_id}"
    assert command("train.py", *SMALL[:-1], f"env.id={kind}", "hydra.run.dir=own_run")[0] == 0
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    for arguments, sentence in (
        (["run", "--video", "film.avi"], "--video film.avi: must end in .mp4"),
        (
            ["run", "--video", "nowhere/film.mp4"],
            "--video nowhere/film.mp4: must end in .mp4, in a folder that is there",
        ),
        (["run", "--picture", "policy.jpg"], "--picture policy.jpg: must end in .png"),
        (["run", "--video", "film.mp4"], "This needs imageio_ffmpeg"),
        (["own_run", "--env", kind, "--picture", "policy.png"], "--picture: needs observations of two or three dim"),
        (["own_run", "--env", kind, "--video", "film.mp4"], f"{env_id}: cannot be filmed with render_mode=rgb_array"),
    ):
        status, out, err = command("evaluate.py", *arguments)
        assert (status, out) == (2, "") and err.startswith(sentence) and len(err.splitlines()) == 1, err
