"""The whole run as one frozen tree. Defaults live here and nowhere else; each part is handed its own branch.

Sizes are named by their unit. A value that can be derived is not a key: ``python -m scripts.train --dry-run`` prints
the derived numbers.
"""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from rnr.types import Decoding

Spaces = Literal["script", "always", "never"]
Offsets = Literal["auto", "characters", "utf16", "bytes", "inclusive", "tokens"]
LossAggregation = Literal["token_mean", "sequence_mean", "constant"]
"""What the summed loss of an optimizer batch is divided by."""


class Section(BaseModel):
    """A branch of the tree: frozen; a key it does not know and a number that is not finite are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class RunConfig(Section):
    name: str = "run"
    """Name of the run and of its folder; an older run of this name is moved aside. One component of a path, at most
    100 bytes long."""
    folder: str = "runs"
    """Parent of the run folder; on a cluster, on a file system that the driver and all learner ranks share."""
    seed: int = 0
    """Of data order, sampling and initialisation."""

    @field_validator("name")
    @classmethod
    def _one_component(cls, name: str) -> str:
        wrong = _wrong_with(name)
        if wrong:
            raise ValueError(f"{name[:120]!r} {wrong}: it becomes the name of a folder beside those of other runs")
        return name


def _wrong_with(name: str) -> str:
    """Why ``name`` may not be that of a run folder; empty if it may."""
    if not name.strip():
        return "is empty"
    if name != name.strip() or name.startswith(".") or name.endswith("."):
        return "begins or ends with a dot or a space"
    if "/" in name or "\\" in name:
        return "holds a slash"
    if not name.isprintable():
        return "holds a character that cannot be printed"
    if len(name.encode()) > 100:
        return f"is {len(name.encode())} bytes long, 100 are allowed"
    return ""


class ModelConfig(Section):
    path: str = "smollm2-135m-instruct"
    """A Hugging Face folder or id, or the embedded model's name."""
    context_tokens: int = Field(default=1024, ge=32)
    """Prompt and completion together; a prompt that leaves no room for the completion is refused by name."""
    lora_rank: int = Field(default=0, ge=0)
    """0 trains all weights; above 0 trains a peft adapter and sends only the adapter to the rollout workers."""
    lora_alpha: int = 32
    """The adapter is scaled by lora_alpha / lora_rank."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, more time."""
    allow_pickle: bool = False
    """Load pickled weights too, which can run code; else only safetensors."""


class ReadingConfig(Section):
    """How files of other tools are read where they do not tell it themselves."""

    tag_column: int = 0
    """In column files the column of the tags, from 1, or from the end as -1; 0 finds it by its content."""
    spaces: Spaces = "script"
    """Whether a space stands between two tokens: ``script`` puts none between those of a script that writes none."""
    offsets: Offsets = "auto"
    """What the offsets of files count. ``auto`` takes characters and refuses a file whose mentions begin or end inside
    words; ``characters`` takes them as they are; the others (UTF-16 units, bytes of UTF-8, characters with an inclusive
    end, words) are converted."""
    labels: tuple[str, ...] = ()
    """Names of labels or tags that are numbers in the data, in the order of their numbers or as ``2=person``."""


class DataConfig(Section):
    train: tuple[str, ...] = ("demo/train",)
    """Files or folders, or ``demo/train``."""
    evaluation: tuple[str, ...] = ("demo/known", "demo/unseen")
    """Files or folders to score on; training sentences that stand in them are dropped."""
    mixture: dict[str, float] | Literal["size"] = {}
    """Source -> how many of its sentences are drawn for each one of a source that is not named here; or ``size``, in
    proportion to what each has, as the paper draws its prompts."""
    sft_examples: int = Field(default=0, ge=0)
    """Upper bound, drawn evenly over the sources, or as ``mixture`` says; 0 takes all."""
    evaluation_examples: int = Field(default=0, ge=0)
    """Fixed sentences of each evaluation set; 0 takes all."""
    keep_by_mentions: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()
    """Shares that are kept of the training sentences without a mention, with one mention, and so on; all with more."""
    grpo_examples: int = Field(default=0, ge=0)
    """Size of the pool that GRPO draws its prompts from, drawn in the same way; 0 takes all."""
    grpo_keep_by_mentions: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()
    """As ``keep_by_mentions``, for GRPO's pool alone, of the sentences under the schemas that they are asked with."""
    special_labels: float = Field(default=0.0, ge=0, le=1)
    """Share of the training sentences in which general labels become special where the text says so
    (``rnr/corpus/fine_labels.py``)."""
    schema_variation: float = Field(default=0.0, ge=0, le=1)
    """Share of the training examples that get a schema of their own (``rnr/corpus/schema_variation.py``)."""
    schema_views: int = Field(default=1, ge=1)
    """How often a training sentence may be drawn, each time under another variation of its schema."""
    max_prompt_tokens: int = Field(default=0, ge=0)
    """Leave longer prompts out of the training data (never out of the evaluation); 0 keeps all."""
    prompt: str = Field(default="compact", min_length=1)
    """``compact`` is ours, in English, or ``compact-de``, ``-fr``, ``-es``, ``-it``, ``-pt``, ``-nl``, ``-zh``;
    ``reference`` the paper's, byte for byte; or a text file with a prompt of one's own, in any language
    (``docs/prompts.md``)."""
    catch_all_labels: bool = True
    """Teach and ask for labels that name what is left over (misc, other, else, na, nan). Without them a sentence's
    mentions under them are none. The prompt ``reference`` never asks for them."""
    definitions: str = ""
    """A JSON file {label: definition}, whose definitions stand beside the labels in the prompt."""
    difficulty_rollouts: int = Field(default=0, ge=0)
    """Rollouts of the warm-started policy by which GRPO prompts that are always right or always wrong are left out;
    0 keeps all."""
    keep_sources: tuple[str, ...] = ()
    """Training sets of an evaluated zero-shot benchmark that are used all the same."""
    skip_bad_rows: bool = False
    """Drop rows that cannot be read, and report them, instead of refusing the file."""
    duplicates: Literal["keep", "first", "majority", "error"] = "keep"
    """Which training rows of one sentence are taken: all, the first, the first of those that most of them agree with,
    or none, because rows that contradict each other stop the run."""
    reading: ReadingConfig = ReadingConfig()
    """How files of other tools are read."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        some, all_set = (how((self.sft_examples, self.grpo_examples)) for how in (any, all))
        if self.mixture and not (some if self.mixture == "size" else all_set):
            raise ValueError("mixture says how sft_examples and grpo_examples are drawn, and one of them is not set")
        if self.schema_views > 1 and not self.schema_variation:
            raise ValueError("schema_views above 1 needs schema_variation, or the views are all the same")
        if self.definitions and self.prompt == "reference":
            raise ValueError('definitions cannot be shown: the prompt "reference" has no place for them')
        return self

    @property
    def asks_catch_alls(self) -> bool:
        """Whether catch-all labels are taught and asked for; the paper's prompt leaves them out, whatever is set."""
        return self.catch_all_labels and self.prompt != "reference"


class SamplingConfig(Section):
    prompts_per_step: int = Field(default=8, ge=1)
    """Groups of a GRPO step."""
    samples_per_prompt: int = Field(default=8, ge=2)
    """Rollouts of a group."""
    dynamic_sampling_rounds: int = Field(default=0, ge=0)
    """How often a step may sample further prompts in place of groups that teach nothing (DAPO's dynamic sampling)."""
    max_new_tokens: int = Field(default=256, ge=1)
    """Token limit of a rollout."""
    temperature: float = Field(default=1.0, gt=0)
    """Of the sampler, and of the log-probabilities in the loss."""
    decoding: Decoding | Literal["auto"] = "auto"
    """What the policy may say, in rollouts, evaluations and the export (``docs/decoding.md``): ``free``; ``marks``, a
    tagged chain under the grammar of its sentence and schema; ``schema``, a free chain and an answer under the grammar
    of its schema; ``auto``, what goes with the chains of the warm start: ``marks`` if the data has none of its own."""


class ScorerConfig(Section):
    use: str
    """``module:name`` of a function or class of one's own (``docs/rewards.md``, ``examples/rewards.py``)."""
    arguments: dict[str, Any] = {}
    """Keywords: for a class when it is made, for a function at every call."""
    name: str = ""
    """Under which its values are logged; by default the name in ``use``."""
    weight: float = 1.0
    """What its value is multiplied by before it is added to the reward."""
    workers: int = Field(default=1, ge=1)
    """Its processes."""
    groups_at_once: int = Field(default=1, ge=1)
    """Groups that each of its workers has at the same time: more than 1 for one that waits, as a judge over HTTP."""
    cpus: float = Field(default=0.25, ge=0)
    """What each of its workers asks of Ray."""
    gpus: float = Field(default=0.0, ge=0)
    """What each of its workers asks of Ray."""
    deadline_seconds: float = Field(default=120.0, gt=0)
    """Seconds that one group may take."""

    @property
    def called(self) -> str:
        """The name under which its values are logged."""
        return self.name or self.use.rpartition(":")[2]


class RewardConfig(Section):
    preset: str = "gated"
    """``gated`` (ours), ``weighted``, ``paper`` (10 * F1 + schema), ``paper_f1``, ``none`` (0, for ``scorers``
    alone), or a user's ``module:function``."""
    weights: dict[str, float] = {"entity_f1": 1.0}
    """Weights of the named rewards in the presets ``gated`` and ``weighted``."""
    overlong_tokens: int = Field(default=0, ge=0)
    """A completion that comes this close to the token limit loses reward, up to 1 at the limit (DAPO); 0 is off."""
    range: tuple[float, float] = (-100.0, 100.0)
    """A reward outside of this range is invalid: not in the baseline, not in the loss, and counted. No preset gives
    more than 11. A number far beyond that is more likely a division by almost nothing or a stand-in for "none", and one
    such reward would drown all others of its step."""
    scorers: tuple[ScorerConfig, ...] = ()
    """Rewards of one's own: their weighted values are added to that of the preset."""
    trial_seconds: float = Field(default=60.0, gt=0)
    """How long the trial of a reward of one's own may take at the start, a model that it loads included."""

    @property
    def part_weights(self) -> dict[str, float]:
        """Weight of each part of the reward that is weighted, scorers included."""
        return {**self.weights, **{scorer.called: scorer.weight for scorer in self.scorers}}

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.range[0] >= self.range[1]:
            raise ValueError(f"reward.range must go from a number to a larger one, not {list(self.range)}")
        return self


class OptimizerConfig(Section):
    zero_stage: Literal[0, 1, 2, 3] = 1
    """What ranks divide among them. 1 is right for one rank too: 0 adds gradients up in bf16."""
    betas: tuple[float, float] = (0.9, 0.95)
    """AdamW's."""
    weight_decay: float = 0.0
    """AdamW's."""
    max_gradient_norm: float = 1.0
    """Gradients are clipped to this norm."""
    final_rate: float = Field(default=0.1, ge=0, le=1)
    """Share of a stage's learning rate that its cosine ends at; 1 keeps the rate as it is after the warm-up."""
    max_tokens_per_microbatch: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """Tokens in one forward pass; a longer sequence gets a pass of its own. ``auto`` is what the free memory of a GPU
    holds (at most 32768, and 8192 with ZeRO stage 3), and 2048 on a CPU."""
    offload: bool = False
    """Keep master weights and moments in host memory but while a step is taken, so that a GPU never holds them and
    activations at once. 12 bytes of each trained weight go there and back in a step. Of no use on a CPU."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Compile the model's layers with torch.compile: fewer and larger kernels, for half a minute at the start. ``auto``
    does on a GPU, unless ZeRO stage 3 divides the weights."""


class SftConfig(Section):
    epochs: float = Field(default=1.0, ge=0)
    """0 skips the warm start."""
    from_run: str = ""
    """Folder of another run whose warm start is taken over in place of one of this run's own."""
    sequences_per_step: int = Field(default=16, ge=1)
    """Batch size of an optimizer step, over all ranks."""
    learning_rate: float = Field(default=2e-4, gt=0)
    """At its peak."""
    warmup_fraction: float = Field(default=0.05, ge=0, lt=1)
    """Share of the steps in which the learning rate rises to its peak."""
    decoding: Literal["free", "marks"] = "free"
    """The distribution that the loss is taken on: the whole vocabulary, or under ``marks`` the decisions alone, which
    teaches no copying."""
    held_out: int = Field(default=0, ge=0)
    """Training sentences that are kept aside; their loss is measured every ``evaluation.every_steps``."""
    patience: int = Field(default=0, ge=0)
    """Stop when the loss of the sentences kept aside was no better this many times in a row; 0 never stops."""


class GrpoConfig(Section):
    steps: int = Field(default=20, ge=0)
    """0 stops after the warm start."""
    learning_rate: float = Field(default=1e-5, gt=0)
    """At its peak."""
    warmup_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps in which the learning rate rises to its peak."""
    policy_loss: Literal["ppo", "gspo", "cispo"] = "ppo"
    """Clip each token's ratio, the sequence's, or the weight of the gradient (``learner/loss.py``)."""
    clip_low: float = Field(default=0.2, ge=0)
    """How far below 1 the ratio counts; 1 or more is no bound, as CISPO's authors have it."""
    clip_high: float = Field(default=0.28, ge=0)
    """How far above 1 the ratio counts."""
    dual_clip: float | None = Field(default=None, gt=1)
    """Upper bound on ratio * |advantage| for negative advantages; 3 is usual."""
    kl_coefficient: float = Field(default=0.0, ge=0)
    """Weight of the KL to the policy at the start of GRPO; above 0 keeps a second model in memory, with LoRA
    a second adapter."""
    kl_estimator: Literal["k1", "k2", "k3", "k3_unbiased"] = "k3_unbiased"
    """Estimator of the KL; ``k3_unbiased`` has the value of k3 and an unbiased gradient."""
    entropy_coefficient: float = Field(default=0.0, ge=0)
    """Weight of an entropy bonus."""
    advantage: Literal["dr_grpo", "grpo", "rloo", "gdpo"] = "dr_grpo"
    """How a group's rewards become advantages (``rewards/advantage.py``): less their mean, also divided by their
    standard deviation, less the mean of the others, or each reward by itself, which needs the preset ``weighted``."""
    credit: Literal["answer", "mention"] = "answer"
    """Whose advantage a token has: that of its answer or, in a tagged chain, that of the
    mention it decides about (``rewards/credit.py``)."""
    loss_aggregation: LossAggregation = "constant"
    """What the summed token loss is divided by: completion tokens of the optimizer batch, mean per sequence first, or
    all *sampled* sequences * max_new_tokens (Dr.GRPO)."""
    rollout_correction: Literal["tis", "sequence_tis", "icepop", "none"] = "tis"
    """How a sampler that is not quite the policy is corrected for: the ratio policy / sampler of each token or of the
    sequence, truncated at the cap, or masked beyond it (``learner/loss.py``)."""
    rollout_correction_cap: float = Field(default=2.0, ge=1)
    """Largest ratio policy / sampler that counts in full."""
    mini_batches: int = Field(default=1, ge=1)
    """Optimizer steps into which a step's samples are divided by their prompts."""
    epochs: int = Field(default=1, ge=1)
    """Times that a step's samples are gone through. More than one optimizer step in all costs one pass to fix the old
    policy's log-probabilities."""
    mask_unfinished: bool = False
    """Leave completions cut at the token limit out of the loss (they stay in the baseline)."""
    max_staleness: int = Field(default=0, ge=0)
    """How many optimizer steps rollouts may be older than the policy they train; 0 is synchronous."""

    @property
    def keeps_reference(self) -> bool:
        """Whether the policy at the start of GRPO is kept beside the one that is trained."""
        return self.kl_coefficient > 0

    @field_validator("advantage", mode="before")
    @classmethod
    def _no_old_name(cls, value: object) -> object:
        names = {"centred": "dr_grpo", "scaled": "grpo", "leave_one_out": "rloo", "per_reward": "gdpo"}
        if isinstance(value, str) and value in names:
            raise ValueError(f'"{value}" is called "{names[value]}" now')
        return value


class EvaluationConfig(Section):
    every_steps: int = Field(default=0, ge=0)
    """Evaluate every so many GRPO steps as well as at the end, and SFT's held-out loss every so many SFT steps; 0 only
    at the end of each stage."""
    base: bool = True
    """Also score the model as it comes, before any training."""
    max_new_tokens: int = Field(default=320, ge=1)
    """Token limit of an answer."""


class GenerationConfig(Section):
    max_num_seqs: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """Sequences that one rollout worker decodes at once (vLLM's ``max_num_seqs``). ``auto`` is as many as the
    key-value cache of a GPU holds at full length (16 to 512), and 64 on a CPU, on which more are no faster."""
    kv_cache_gib: float = Field(default=1.0, gt=0)
    """Key-value cache of each rollout worker on a CPU, in GiB."""
    gpu_memory_fraction: float = Field(default=0.85, gt=0, le=1)
    """Share of a GPU's memory that vLLM may take."""
    speculative_tokens: int = Field(default=0, ge=0, le=16)
    """Tokens that vLLM guesses ahead from n-grams of the prompt and of what was generated, and keeps where the policy
    says the same: a tagged chain copies its sentence. The distribution stays the same. 0 guesses none. For
    ``sampling.decoding`` ``free`` alone: under a grammar vLLM's log-probabilities of guessed tokens are no numbers."""

    @property
    def sequences(self) -> int:
        """``max_num_seqs``, or what it is where no GPU has decided it."""
        return 64 if self.max_num_seqs == "auto" else self.max_num_seqs


class SyncConfig(Section):
    transport: Literal["auto", "object_store", "shared_memory", "cuda_ipc", "nccl"] = "auto"
    """How a published policy reaches the rollout workers (``cluster/transport``): ``object_store``, Ray's, which serves
    any placement; ``shared_memory``, on the CPUs of one host; ``cuda_ipc``, a learner and an engine that share one GPU;
    ``nccl``, learner and engines that have GPUs to themselves. ``auto`` picks by placement, never ``nccl``;
    ``--dry-run`` says which."""
    probe_tolerance: float = Field(default=0.15, gt=0)
    """Largest mean difference, in nats, of log-probabilities between learner and rollout worker after a weight sync."""


class DeadlineConfig(Section):
    """Seconds, one for each kind of wait. A worker that misses one is replaced and its work is handed out again."""

    start: float = Field(default=900.0, gt=0)
    """From the creation of a worker until it can work: imports, weights, compilation."""
    restart: float = Field(default=900.0, ge=0)
    """How long what is lost again and again, without progress in between, is started anew: the learner's ranks, and a
    rollout worker. At least three times are tried however long they take."""
    room: float = Field(default=900.0, ge=0)
    """How long a run waits for room on a full disk before it ends, to be resumed."""
    generate: float = Field(default=600.0, gt=0)
    """The rollouts of one prompt, with what waits in the engine before them."""
    score: float = Field(default=120.0, gt=0)
    """The rewards of one group, and a probe of log-probabilities."""
    load: float = Field(default=300.0, gt=0)
    """A published policy into one engine."""
    update: float = Field(default=1800.0, gt=0)
    """One optimizer batch, and the collection of the weights."""
    save: float = Field(default=1800.0, gt=0)
    """A checkpoint or the export, written or read."""


class ClusterConfig(Section):
    address: str = ""
    """Ray address to join; empty joins the cluster of the Ray job, or starts Ray on this machine. ``in_process`` runs
    everything in this process without Ray, as ``--debug`` does (``docs/debugging.md``)."""
    rollout_workers: int | str = 1
    """vLLM engines, each in a process of its own: a number, or a range such as ``"1..8"``, which takes what the cluster
    has room for while the run goes on; ``python -m scripts.scale RUN N`` changes it by hand."""
    reward_workers: int = Field(default=1, ge=1)
    """Processes that score."""
    learner_ranks: int = Field(default=1, ge=1)
    """DeepSpeed ranks. A resumed run may have another number, and another ``optimizer.zero_stage``."""
    cpus_per_worker: float = Field(default=0.25, gt=0)
    """What each of our processes asks of Ray; they take turns, so a fraction does on a laptop."""
    gpus_per_rollout_worker: float | None = Field(default=None, ge=0)
    """What each asks of Ray. By default what the cluster has: a GPU for each worker and rank, or half a one where there
    are fewer, or none. Of several on one host the engine holds a part of the model each (tensor parallelism)."""
    gpus_per_learner_rank: float | None = Field(default=None, ge=0, le=1)
    """As ``gpus_per_rollout_worker``, but at most 1: for more, add ``learner_ranks``."""

    @field_validator("gpus_per_rollout_worker")
    @classmethod
    def _a_share_or_whole(cls, value: float | None) -> float | None:
        if value is not None and value > 1 and value != int(value):
            raise ValueError("an engine has a share of one GPU or whole ones")
        return value

    @field_validator("rollout_workers")
    @classmethod
    def _a_range(cls, value: int | str) -> int | str:
        worker_range(value)
        return value

    @model_validator(mode="after")
    def _one_of_each_in_one_process(self) -> Self:
        counts = (self.most_rollout_workers, self.reward_workers, self.learner_ranks)
        if self.address == "in_process" and counts != (1, 1, 1):
            raise ValueError(
                'cluster.address "in_process" has room for one worker of each kind: set cluster.rollout_workers, '
                "cluster.reward_workers and cluster.learner_ranks to 1"
            )
        return self

    @property
    def fewest_rollout_workers(self) -> int:
        """With fewer the run does not begin."""
        return worker_range(self.rollout_workers)[0]

    @property
    def most_rollout_workers(self) -> int:
        """The upper end of the range."""
        return worker_range(self.rollout_workers)[1]


def worker_range(value: int | str) -> tuple[int, int]:
    """``3`` or ``"3"`` as (3, 3), ``"1..8"`` as (1, 8); ValueError for anything else."""
    found = re.fullmatch(r"\s*(\d{1,6})\s*(?:\.\.\s*(\d{1,6})\s*)?", str(value), re.ASCII)
    fewest, most = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= fewest <= most:
        raise ValueError(f'must be a number such as 4 or a range such as "1..8", from 1 on, not {value!r}')
    return fewest, most


class CheckpointConfig(Section):
    every_steps: int = Field(default=20, ge=1)
    """Optimizer steps, of either stage, between checkpoints."""
    keep: int = Field(default=2, ge=1)
    """Newest checkpoints that are kept."""
    grace_seconds: float = Field(default=25.0, ge=0)
    """What a run has from SIGTERM until its checkpoint is on disk; then it ends without. Kubernetes and Slurm send
    SIGKILL after 30 s if they are not told otherwise, ``ray job stop`` after 3 (``docs/cluster.md``)."""


class TrackingConfig(Section):
    wandb_project: str = "rnr"
    """Empty: no W&B. Online when WANDB_API_KEY is set, otherwise in the run folder for a later ``wandb sync``."""
    wandb_group: str = ""
    """Runs of one group stand together in W&B."""
    wandb_tags: tuple[str, ...] = ()
    """Tags of the run in W&B."""
    tensorboard: bool = False
    """Also write the metrics to ``tensorboard/`` in the run folder; needs the package ``tensorboard``."""


class Config(Section):
    run: RunConfig = RunConfig()
    """Where the run is kept."""
    model: ModelConfig = ModelConfig()
    """The policy before training."""
    data: DataConfig = DataConfig()
    """Which sentences are trained and evaluated on, and how they are asked."""
    sampling: SamplingConfig = SamplingConfig()
    """How rollouts are sampled."""
    reward: RewardConfig = RewardConfig()
    """How an answer is scored."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """DeepSpeed and AdamW, in both stages."""
    sft: SftConfig = SftConfig()
    """The supervised warm start."""
    grpo: GrpoConfig = GrpoConfig()
    """Reinforcement learning."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Greedy evaluation during and after training."""
    generation: GenerationConfig = GenerationConfig()
    """The vLLM engines."""
    sync: SyncConfig = SyncConfig()
    """How weights reach the engines, and how that is verified."""
    cluster: ClusterConfig = ClusterConfig()
    """Workers, and what each may take of the machines."""
    deadlines: DeadlineConfig = DeadlineConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    """What a resumed run starts from."""
    tracking: TrackingConfig = TrackingConfig()
    """Where metrics go."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        longest = max(self.sampling.max_new_tokens, self.evaluation.max_new_tokens)
        if longest >= self.model.context_tokens:
            raise ValueError(
                f"max_new_tokens ({longest}) must be smaller than model.context_tokens ({self.model.context_tokens}): "
                "the prompt needs room too"
            )
        if self.reward.overlong_tokens > self.sampling.max_new_tokens:
            raise ValueError("reward.overlong_tokens must not be more than sampling.max_new_tokens")
        if self.grpo.advantage == "gdpo" and self.reward.overlong_tokens:
            raise ValueError('reward.overlong_tokens is taken off the total, which grpo.advantage "gdpo" ignores')
        if self.sft.patience and not (self.sft.held_out and self.evaluation.every_steps):
            raise ValueError("sft.patience needs sft.held_out sentences and evaluation.every_steps to measure them")
        if self.grpo.advantage == "gdpo" and self.reward.preset != "weighted":
            raise ValueError(
                'grpo.advantage "gdpo" normalises each reward before they are added, so reward.preset must be '
                f'"weighted", not {self.reward.preset!r}'
            )
        if self.grpo.credit == "mention" and self.grpo.advantage not in ("dr_grpo", "rloo"):
            raise ValueError(
                'grpo.credit "mention" needs grpo.advantage "dr_grpo" or "rloo": '
                f"{self.grpo.advantage!r} would scale the advantages of answers and not those of mentions"
            )
        if self.grpo.credit == "mention" and self.grpo.policy_loss == "gspo":
            raise ValueError(
                'grpo.policy_loss "gspo" gives all tokens of an answer one ratio, whose gradient is their sum, so that '
                'grpo.credit "mention" would be lost: use "ppo" or "cispo"'
            )
        if self.generation.speculative_tokens and self.sampling.decoding != "free":
            raise ValueError(
                "generation.speculative_tokens needs sampling.decoding=free: under a grammar vLLM gives NaN as the "
                "log-probabilities of tokens that were guessed"
            )
        if self.optimizer.zero_stage == 3 and self.model.lora_rank:
            raise ValueError("model.lora_rank needs optimizer.zero_stage 0, 1 or 2: adapters are small enough")
        return self
