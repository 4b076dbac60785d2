"""What a person who reads the scripts would expect an audit of them to say.

Names are written in patterns as of `fnmatch`, with `|` between spellings that are as good as each other: what is
`actor` to one is `agent.actor` to another.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """A fault that the audit has to find.

    Attributes:
        kind: as docs/audit.md lists them.
        modules: the spellings of the module that it concerns.
        marker: stands in a comment on the line where the fault is to be found, or on each of several that are as good.
        severity: "hint" where the audit cannot be sure.
    """

    kind: str
    modules: str
    marker: str = "# FAULT"
    severity: str = "fault"


@dataclass(frozen=True)
class Expected:
    """A script and what is expected of it.

    Attributes:
        script: its path from this folder; a name with dots for what is run by `-m`.
        modules: answers as good as each other, each the names of the modules separated by spaces.
        faults: what has to be found, and no fault else.
        may: hints and costs that may be found, each a kind and the spellings of its modules.
        also: names of modules that may be there besides: a whole beside its parts, what nothing trains.
        arguments: of the script.
        needs: what has to be installed for it besides torch, by the names to import it by.
        status: the one that the script ends with by itself.
        stdin: what it reads.
        text: the script itself, where it is no file of its own.
        trains: whether an audit has anything to see in it.
        stop: what is to become of it if the command ends it after the recording, where that is not plain.
    """

    script: str
    modules: tuple[str, ...] = ("model",)
    faults: tuple[Fault, ...] = ()
    may: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    status: int = 0
    stdin: str = ""
    text: str = ""
    trains: bool = True
    stop: str = ""

    @property
    def name(self) -> str:
        """As it is named on the command line and in the table."""
        return self.script.removesuffix(".py")


def of(owners: str, names: str) -> str:
    """Each of the names alone, or as an attribute of one of the owners."""
    return " ".join("|".join([name, *(f"{owner}.{name}" for owner in owners.split("|"))]) for name in names.split())


ACTOR_CRITIC = of("agent", "trunk actor critic")
SB3_MODEL, SB3 = "model|policy|model.policy", ("model.policy", "policy")
GAN_OWNERS = "GAN|gan|model|lightning_module"
GAN = of(GAN_OWNERS, "generator discriminator")
DREAMER = of("agent", "world_model actor value")

SOUND = (
    Expected(
        "ddpg_pendulum.py",
        ("actor target_actor qf1 qf1_target",),
        may=("waste qf1",),
        needs=("gymnasium",),
    ),
    Expected("ppo_shared_trunk.py", ("agent", ACTOR_CRITIC), also=("agent",), needs=("gymnasium",)),
    Expected(
        "sac_pendulum.py",
        ("actor qf1 qf2 qf1_target qf2_target log_alpha",),
        may=("waste qf1|qf2",),
        needs=("gymnasium",),
    ),
    Expected("gan_ring.py", ("netG netD",), may=("waste netD",)),
    Expected("maml_sine.py", ("model|learner.model",)),
    Expected("drq_pixels.py", (of("agent", "encoder actor critic critic_target"),), may=("waste critic|agent.critic",)),
    Expected("diffusion_ema.py", ("model ema|ema.module",)),
    Expected("dqn_cartpole.py", (of("agent", "policy_net target_net"),), needs=("gymnasium",)),
    Expected(
        "sb3_ddpg.py",
        (of(SB3_MODEL, "actor critic actor_target critic_target"),),
        may=("waste *critic",),
        also=SB3,
        needs=("stable_baselines3",),
    ),
    Expected(
        "sb3_sac.py",
        (of(SB3_MODEL, "actor critic critic_target log_ent_coef"),),
        may=("waste *critic",),
        also=SB3,
        needs=("stable_baselines3",),
    ),
    Expected(
        "tianshou_ddpg.py",
        (
            of("algorithm|policy|algorithm.policy", "actor critic actor_old critic_old"),
            "policy critic algorithm.critic_old algorithm.actor_old",
        ),
        may=("waste *critic*",),
        also=("algorithm", "policy", "algorithm.policy", "critic_net", "*preprocess*"),
        needs=("tianshou",),
    ),
    Expected(
        "torchrl_sac.py",
        (
            "actor|loss_module.actor_network* qvalue|loss_module.qvalue_network* log_alpha|loss_module.log_alpha",
            "loss_module",
        ),
        also=("loss_module", "loss_module.*", "actor", "qvalue", "actor_net"),
        needs=("torchrl", "tensordict"),
    ),
    Expected(
        "lightning_classifier.py",
        (
            "LitClassifier|lit_classifier|model|classifier|lightning_module",
            of("LitClassifier|model|lightning_module", "backbone head"),
        ),
        also=("LitClassifier", "model"),
        needs=("lightning",),
    ),
    Expected("lightning_gan.py", (GAN,), also=("GAN", "gan", "model"), needs=("lightning",)),
    Expected("trainer_gpt2.py", ("model|trainer.model",), needs=("transformers", "accelerate")),
    Expected("gpt2_resized_embeddings.py", needs=("transformers",)),
    Expected("accelerate_classifier.py", needs=("accelerate",)),
    Expected("data_parallel.py", ("model|model.module",), also=("model", "model.module")),
    Expected("checkpointed_transformer.py"),
    Expected("amp_autoencoder.py", (of("trainer", "encoder decoder"),)),
    Expected("compiled_regressor.py", ("model average|average.module",), also=("compiled",)),
    Expected("world_model.py", (DREAMER,)),
    Expected("dataloader_workers.py"),
)

FAULTY = (
    Expected(
        "ddpg_target_not_detached.py",
        ("actor qf1 qf1_target",),
        (Fault("leak", "actor"),),
        may=("waste qf1|qf1_target", "tracked_target qf1_target"),
        needs=("gymnasium",),
    ),
    Expected(
        "ddpg_action_detached.py",
        ("actor target_actor qf1 qf1_target",),
        (Fault("dead_link", "actor"),),
        may=("waste qf1",),
        needs=("gymnasium",),
    ),
    Expected(
        "drq_actor_moves_encoder.py",
        (of("agent", "encoder actor critic critic_target"),),
        (Fault("leak", "encoder|agent.encoder"),),
        may=("waste critic|agent.critic",),
    ),
    Expected("gan_fakes_not_detached.py", ("netG netD",), (Fault("leak", "netG"),), may=("waste netD",)),
    Expected("gan_no_zero_grad.py", ("netG netD",), (Fault("stale_gradient", "netD"),), may=("waste netD",)),
    Expected(
        "dqn_target_in_optimizer.py",
        (of("agent", "policy_net target_net"),),
        (Fault("leak", "target_net|agent.target_net"),),
        needs=("gymnasium",),
    ),
    Expected(
        "diffusion_ema_trained.py",
        (of("model", "net ema"),),
        (Fault("leak", "ema|model.ema"),),
        also=("model",),
    ),
    Expected(
        "ppo_trunk_in_two_optimizers.py",
        (ACTOR_CRITIC, "agent"),
        (Fault("leak", "trunk|agent.trunk|agent"),),
        also=("agent",),
        needs=("gymnasium",),
    ),
    Expected(
        "a2c_advantage_not_detached.py",
        (of("agent", "policy value"),),
        (Fault("leak", "value|agent.value"),),
    ),
    Expected(
        "finetune_new_head.py",
        ("model", "body|model.body fc|model.fc"),
        (Fault("unheld", "model|fc|model.fc"),),
        also=("model",),
    ),
    Expected(
        "frozen_backbone_batchnorm.py",
        ("model", of("model", "backbone head")),
        (Fault("drift", "model|backbone|model.backbone"),),
        also=("model",),
    ),
    Expected(
        "clip_tower_detached.py",
        ("model", of("model", "visual textual logit_scale")),
        (Fault("unreached", "model|visual|model.visual"),),
        also=("model",),
    ),
    Expected(
        "vae_encoder_twice.py",
        ("model", of("model", "encoder decoder")),
        (Fault("applied_twice", "model|encoder|model.encoder"),),
        also=("model",),
    ),
    Expected(
        "lightning_gan_no_zero_grad.py",
        (GAN,),
        (Fault("stale_gradient", of(GAN_OWNERS, "discriminator")),),
        also=("GAN", "gan", "model"),
        needs=("lightning",),
    ),
    Expected(
        "lora_after_optimizer.py",
        ("model",),
        (
            Fault("unheld", "model|model.*", "# FAULT unheld"),
            Fault("dead_link", "model|model.*", "# FAULT dead link"),
        ),
        also=("model.base_model*",),
        needs=("transformers", "peft"),
    ),
)

ENDED = "the status is that of the findings, not the script's, since it does not come to its own end"
SWALLOWED = (
    "what ends the script must not be swallowed without a word: either it gets through (no Exception, or the process "
    "is ended in another way), or the script goes on to its end and the report says that it could not be stopped"
)
AWKWARD = (
    Expected("awkward/never_steps.py", ("", "model"), trains=False, stop="runs to its end; says that nothing stepped"),
    Expected(
        "awkward/optimizer_never_stepped.py",
        ("", "model"),
        may=("waste model",),
        trains=False,
        stop="runs to its end; says that the optimizer never stepped, which is no fault by itself",
    ),
    Expected("awkward/five_steps.py", stop="runs to its end; says that it saw five steps only"),
    Expected("awkward/flat.py"),
    Expected("awkward/raises_midway.py", status=1, stop="ended before the exception, or its traceback is shown"),
    Expected("awkward/raises_with_cause.py", status=1, stop="ended before the exception, or its traceback is shown"),
    Expected("awkward/exits_with_three.py", status=3, stop=ENDED),
    Expected("awkward/exits_with_a_message.py", status=1, stop=ENDED),
    Expected("awkward/os_exits.py", status=4, stop=ENDED),
    Expected("awkward/forks.py", stop="if it is stopped after the fork: parent only, and one report only"),
    Expected("awkward/pool_fork.py", ("model",), stop="no report of a child, and no child that is left behind"),
    Expected("awkward/pool_spawn.py", ("model",), stop="no report of a child, and no child that is left behind"),
    Expected(
        "awkward/process_pool.py",
        ("model",),
        stop="what is trained in a child is not seen; the training at the end is",
    ),
    Expected("awkward/changes_directory.py", stop="--json is relative to where the command was started"),
    Expected(
        "awkward/executes_itself_again.py",
        arguments=("--name", "x"),
        stop="what is executed anew is not the command any more: audited all the same, or it is said that it is not",
    ),
    Expected("awkward/own_excepthook.py", status=1, stop=f"its hook is not told of the end; {ENDED}"),
    Expected("awkward/own_signals.py", stop="its handlers see no signal but its own"),
    Expected("awkward/own_atexit.py", stop="its functions still run"),
    Expected("awkward/reads_stdin.py", stdin='{"seed": 1, "lr": 0.01}\ntrain 30\ntrain 20\n'),
    Expected("awkward/imports_neighbour.py"),
    Expected("awkward.packaged.train", arguments=("--steps", "30")),
    Expected("awkward.packaged", arguments=("--steps", "30")),
    Expected("awkward/pickles_main.py", ("model", "model loaded")),
    Expected("awkward/looks_at_itself.py", arguments=("--lr", "0.02", "--steps", "30")),
    Expected(
        "awkward/trains_in_a_thread.py", stop="ends the training, not only its thread: the main thread must not wait"
    ),
    Expected(
        "awkward/asks_for_help.py", ("",), arguments=("--help",), trains=False, stop="the script's help, not ours"
    ),
    Expected("awkward/asks_for_help.py", arguments=("--json", "x", "--", "-m", "y")),
    Expected(
        "awkward/syntax_error.py",
        ("",),
        status=1,
        text='"""Not Python."""\n\ndef main(:\n    pass\n',
        trains=False,
        stop="the same message as Python's, and no frame of ours in it",
    ),
    Expected("awkward/is_interrupted.py", stop="its handler of KeyboardInterrupt does not take the end for one"),
    Expected("awkward/catches_exceptions.py", stop=SWALLOWED),
    Expected("awkward/catches_everything.py", stop=SWALLOWED),
    Expected("awkward/retries.py", stop=SWALLOWED),
    Expected("awkward/saves_finally.py", stop="finally runs, and trains ten steps more, or none; it is not waited for"),
    Expected("awkward/steps_rarely.py", stop="the number of steps counts, or it ends after enough passes"),
    Expected("awkward/accumulates.py"),
    Expected("awkward/closures.py"),
    Expected("awkward/model_dies.py"),
    Expected("awkward/asyncio_loop.py", stop="ends the whole loop: a task group would wrap an exception in a group"),
    Expected("awkward/inference_mode.py"),
    Expected("awkward/replaces_stdout.py"),
    Expected("awkward/is_profiled.py", stop="ended within cProfile and under its own trace function"),
    Expected(
        "awkward/own_optimizer.py", ("signed warmed", "signed warmed manual"), may=("unheld manual", "waste manual")
    ),
)

SCRIPTS = SOUND + FAULTY + AWKWARD
