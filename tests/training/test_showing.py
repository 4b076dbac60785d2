"""A video and a picture in TensorBoard leave the training as it is."""

import io

import pytest
from PIL import Image
from small_runs import run, scalars, small, state
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ddpg import InputError
from ddpg.saving import checkpoint
from ddpg.training.loop import Training, check_run
from ddpg.training.run import RESULT_NAME
from ddpg.training.stopping import Stopped


def images(folder):
    events = EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
    return {
        tag: {event.step: Image.open(io.BytesIO(event.encoded_image_string)) for event in events.Images(tag)}
        for tag in events.Tags()["images"]
    }


def test_videos_and_pictures_at_each_interval_and_at_the_end_change_nothing_of_the_run(tmp_path):
    filmed, evaluation = run(tmp_path / "filmed", small(video__interval=80))
    plain, expected = run(tmp_path / "plain", small())
    assert all(map(lambda one, other: one.equal(other), state(filmed), state(plain)))
    assert [each.tolist() for each in evaluation] == [each.tolist() for each in expected]
    assert scalars(tmp_path / "filmed") == scalars(tmp_path / "plain")
    found = images(tmp_path / "filmed")
    assert {tag: list(shown) for tag, shown in found.items()} == {
        "policy/video": [80, 160, 200],
        "policy/value_and_policy": [80, 160, 200],
    }
    video = found["policy/video"][80]
    assert video.format == "GIF" and video.n_frames > 20 and video.size == (320, 320)
    shown = images(tmp_path / "plain")
    assert {tag: list(steps) for tag, steps in shown.items()} == {"policy/value_and_policy": [200]}


def test_a_run_stopped_in_its_closing_picture_has_no_result_yet_and_goes_on(tmp_path, monkeypatch):
    settings = small(total_steps=80)
    training = Training(settings, tmp_path)

    def stop(run, environment, heed):
        raise Stopped(2)

    monkeypatch.setattr("ddpg.training.loop.show", stop)
    with pytest.raises(Stopped):
        training.train()
    training.close()
    monkeypatch.undo()
    assert not (tmp_path / RESULT_NAME).exists()
    run(tmp_path, settings, checkpoint.load(tmp_path))
    assert (tmp_path / RESULT_NAME).exists()


@pytest.mark.long
def test_a_run_stopped_while_it_is_filmed_goes_on_as_the_same_run(tmp_path, monkeypatch):
    settings = small(video__interval=80, evaluation__interval=70)
    whole, _ = run(tmp_path / "whole", settings)
    training = Training(settings, tmp_path / "broken")

    def stop(run, environment, heed):
        monkeypatch.undo()
        raise Stopped(2)

    monkeypatch.setattr("ddpg.training.loop.show", stop)
    with pytest.raises(Stopped):
        training.train()
    training.close()
    assert training.step == 80
    resumed, _ = run(tmp_path / "broken", settings, checkpoint.load(tmp_path / "broken"))
    assert all(map(lambda one, other: one.equal(other), state(resumed), state(whole)))
    assert scalars(tmp_path / "broken") == scalars(tmp_path / "whole")


def test_an_environment_that_cannot_be_filmed_is_named_before_anything_is_made(tmp_path, own_module):
    name, env_id = own_module("own")
    settings = small(video__interval=80, env__id=f"{name}:{env_id}", env__kwargs={})
    with pytest.raises(InputError, match="cannot be filmed"):
        check_run(settings)
    with pytest.raises(InputError, match="cannot be filmed"):
        Training(settings, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    run(tmp_path / "run", small(env__id=f"{name}:{env_id}", env__kwargs={}, total_steps=60))
    assert images(tmp_path / "run") == {}  # one dimension
