"""What the gradient-flow curves show is what the step applied."""

import errno
import re
import time

import numpy as np
import pytest
from conftest import make_agent, make_batch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.tensorflow_stub.io import gfile
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from test_critic_freeze import SOUND as SOUND_FREEZES
from test_gradient_stop import SOUND as SOUND_STOPS

from ddpg.gradient_flow import GradientFlow
from ddpg.gradient_stop import EditGradient
from ddpg.training.evaluation import Evaluation
from ddpg.training.telemetry import Telemetry, applied_gradients, target_actor_gap

CRITIC = "gradient_flow/critic_loss_to_"
LEAKS = ("critic_loss_to_actor", "critic_loss_to_target_actor", "actor_loss_to_critic")
ACTOR = "gradient_flow/actor_loss_to_"


def applied(updates=3, **options):
    """The norms of the last of some updates; the audit, which looks on, finds the same."""
    agent = make_agent(**options)
    with GradientFlow(agent.modules()) as flow:
        for seed in range(updates):
            agent.update_critic(make_batch(seed=seed))
            norms = applied_gradients(agent, "critic_loss")
            agent.update_actor(make_batch(seed=seed))
            norms |= applied_gradients(agent, "actor_loss")
    latest = flow.steps[-2:]
    assert [step.place.function for step in latest] == ["update_critic", "update_actor"]
    for loss, step in zip((CRITIC, ACTOR), latest, strict=True):
        for tag in (tag for tag in norms if tag.startswith(loss)):
            assert norms[tag] == pytest.approx(step.applied.get(tag.removeprefix(loss), 0.0))
    return norms


def test_target_actor_gap_by_hand():
    agent = make_agent()
    for module, bias in ((agent.actor, 0.0), (agent.target_actor, 100.0)):
        for parameter in module.parameters():
            parameter.data.zero_()
        module.output.bias.data.fill_(bias)
    # The actor stays in the middle of the bounds, the target actor at the top: half the ranges 3 and 6.
    assert target_actor_gap(agent, make_batch().observations).item() == pytest.approx((1.5 + 3) / 2)


@pytest.mark.parametrize("bootstrap_actor", ["target", "online"])
@pytest.mark.parametrize("stop", SOUND_STOPS)
def test_a_sound_stop_applies_exactly_nothing_to_the_actors(stop, bootstrap_actor):
    norms = applied(gradient_stop=stop, bootstrap_actor=bootstrap_actor)
    assert norms[CRITIC + "actor"] == norms[CRITIC + "target_actor"] == 0
    assert norms[CRITIC + "critic"] > 0
    assert norms[ACTOR + "actor"] > 0


@pytest.mark.parametrize("bootstrap_actor", ["target", "online"])
def test_without_a_stop_the_bootstrapping_actor_is_reached(bootstrap_actor):
    norms = applied(gradient_stop="none", bootstrap_actor=bootstrap_actor)
    reached, other = ("target_actor", "actor") if bootstrap_actor == "target" else ("actor", "target_actor")
    assert norms[CRITIC + reached] > 0
    assert norms[CRITIC + other] == 0
    halved = applied(updates=1, gradient_stop=EditGradient(scale=0.5), bootstrap_actor=bootstrap_actor)
    whole = applied(updates=1, gradient_stop="none", bootstrap_actor=bootstrap_actor)
    assert halved[CRITIC + reached] == pytest.approx(0.5 * whole[CRITIC + reached])


@pytest.mark.parametrize("freeze", ["none", *SOUND_FREEZES])
def test_only_without_a_freeze_the_critic_is_reached_by_the_actors_loss(freeze):
    norms = applied(critic_freeze=freeze)
    assert (norms[ACTOR + "critic"] == 0) == (freeze != "none")
    assert norms[ACTOR + "actor"] > 0


def test_the_norm_is_that_of_the_gradient():
    agent = make_agent()
    agent.update_critic(make_batch())
    norm = sum(float((parameter.grad**2).sum()) for parameter in agent.critic.parameters()) ** 0.5
    assert applied_gradients(agent, "critic_loss")[CRITIC + "critic"] == pytest.approx(norm)


def test_an_audit_is_a_text_and_two_pictures(tmp_path, capsys):
    agent = make_agent()
    with GradientFlow(agent.modules(), trace=True) as flow:
        agent.update(make_batch())
    with Telemetry(tmp_path, "test", 300) as telemetry:
        telemetry.audit(100, flow)
    assert str(flow) in capsys.readouterr().out
    events = EventAccumulator(str(tmp_path)).Reload()
    assert set(events.Tags()["images"]) == {"audit/update_critic", "audit/update_actor"}
    assert all(events.Images(tag)[0].step == 100 for tag in events.Tags()["images"])
    (text,) = events.Tensors("audit/text_summary")
    assert str(flow) in text.tensor_proto.string_val[0].decode()


def test_a_run_is_a_row_of_hparams_and_shares_charts_with_the_others(tmp_path):
    with Telemetry(tmp_path, "test", 300) as telemetry:
        telemetry.describe({"gradient_stop": {"name": "detach"}, "seed": 3, "threads": None})
        telemetry.final_evaluation(300, Evaluation(*np.array([[-1.0, -3.0]] * 4)))
    events = EventAccumulator(str(tmp_path)).Reload()
    (start,) = [tag for tag in events.PluginTagToContent("hparams") if tag.endswith("session_start_info")]
    content = HParamsPluginData.FromString(events.PluginTagToContent("hparams")[start]).session_start_info.hparams
    assert content["gradient_stop"].string_value == "detach"
    assert content["seed"].number_value == 3
    assert content["threads"].string_value == "null"
    assert [event.value for event in events.Scalars("eval/final_return")] == [-2]
    layout = Layout.FromString(events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0])
    tags = [tag for category in layout.category for chart in category.chart for tag in chart.multiline.tag]
    assert "eval/mean_return" in tags
    assert all(any(re.fullmatch(tag, f"leaks/{leak}") for tag in tags) for leak in LEAKS)


def episodes(telemetry, steps):
    for step in steps:
        telemetry.episode(step, float(step), 1.0)


def returns(folder):
    events = EventAccumulator(str(folder)).Reload()
    return [(event.step, event.value) for event in events.Scalars("rollout/episode_return")]


def test_what_a_broken_off_process_wrote_after_the_checkpoint_gives_way(tmp_path):
    broken_off = Telemetry(tmp_path, "test", 9)
    episodes(broken_off, range(1, 6))
    broken_off.flush()  # at a checkpoint of step 5
    episodes(broken_off, range(6, 9))
    broken_off.flush()
    (path,) = tmp_path.glob("events*")
    with open(path, "ab") as file:
        file.write(b"torn off in the middle of a rec")
    for first in (5, 6):  # the second time with nothing after the checkpoint
        with Telemetry(tmp_path, "test", 9, first) as resumed:
            episodes(resumed, range(first + 1, 8))
    assert returns(tmp_path) == [(step, step) for step in range(1, 8)]


def test_a_run_that_begins_anew_begins_its_curves_anew(tmp_path):
    for steps in ([1, 2, 3], [1, 2]):
        with Telemetry(tmp_path, "test", 9) as telemetry:
            episodes(telemetry, steps)
    assert returns(tmp_path) == [(1, 1), (2, 2)]


def test_what_follows_the_last_checkpoint_goes_when_the_run_is_extended(tmp_path):
    for first, last in ((0, 3), (3, 5)):
        with Telemetry(tmp_path, "test", 9, first) as telemetry:
            episodes(telemetry, range(first + 1, last + 1))
            telemetry.flush()
            telemetry.steps_done()
            telemetry.final_evaluation(last, Evaluation(*np.array([[float(last)]] * 4)))
    assert returns(tmp_path) == [(step, step) for step in range(1, 6)]
    final = EventAccumulator(str(tmp_path)).Reload().Scalars("eval/final_return")
    assert [(event.step, event.value) for event in final] == [(5, 5)]


# The thread that writes shows what has ended it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_where_the_disk_takes_no_events_one_sentence_says_so_and_the_curves_go_on_at_the_next_checkpoint(
    tmp_path, monkeypatch, capsys
):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    with Telemetry(tmp_path, "test", 9) as telemetry:
        episodes(telemetry, [1])
        telemetry.flush()
        with monkeypatch.context() as context:
            context.setattr(gfile.LocalFileSystem, "append", full)
            for step in (2, 3, 4):
                episodes(telemetry, [step])
                time.sleep(0.05)
        telemetry.flush()
        episodes(telemetry, [5])
    assert returns(tmp_path) == [(1, 1), (5, 5)]
    assert capsys.readouterr().err.count("the curves cannot be written") == 1


@pytest.mark.parametrize(
    ("options", "leaking"),
    [
        ({"gradient_stop": "none"}, "critic_loss_to_target_actor"),
        ({"gradient_stop": "none", "bootstrap_actor": "online"}, "critic_loss_to_actor"),
        ({"gradient_stop": EditGradient(scale=0.5)}, "critic_loss_to_target_actor"),
        ({"critic_freeze": "none"}, "actor_loss_to_critic"),
        ({"gradient_stop": "optimizer", "critic_freeze": "manual"}, None),
    ],
)
def test_a_leak_is_a_curve_of_its_own_which_sound_runs_do_not_have(tmp_path, options, leaking):
    norms = applied(**options)
    with Telemetry(tmp_path, "test", 300) as telemetry:
        telemetry.update(200, {"losses/critic": 1.0, "losses/actor": 1.0} | norms)
    events = EventAccumulator(str(tmp_path)).Reload()
    leaks = {tag for tag in events.Tags()["scalars"] if tag.startswith("leaks/")}
    assert leaks == ({f"leaks/{leaking}"} if leaking else set())
    for tag in leaks:
        assert events.Scalars(tag)[0].value == pytest.approx(norms[f"gradient_flow/{leaking}"])
    assert {tag for tag in norms if norms[tag] == 0} <= set(events.Tags()["scalars"])  # exactly 0 is said, too
