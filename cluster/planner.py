"""Plans how to divide GPUs between engines and learner: simulates each division, with idle shares."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from cluster.datasheets import MACHINES, Machine
from cluster.memory_plan import UNKNOWN_SHAPE, Shape, cache_tokens, engine_parts, fits, rank_parts, resolve_max_num_seqs
from cluster.placement import SHARED_GPU_MEMORY
from cluster.simulation import Load, SimulatedRun, Speed, simulate
from cluster.sleep_mode import resolve_sleep
from cluster.stated_speed import stated
from rnr.config import ClusterConfig, GenerationConfig, GrpoConfig, ModelConfig, OptimizerConfig, SyncConfig

DIVISIONS = 15
"""Maximum number of divisions that are simulated; with more GPUs they are evenly spread."""
STEPS, SEQUENCES = 8, 16_384
"""Maximum numbers of steps and of sequences that are simulated; at least two steps always are."""


NEAR = 0.03
"""A relative speedup below this is not worth more GPUs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """Numbers of engines and learner ranks, and the simulated run; ``outcome`` is None if memory does not suffice."""

    gpus: int
    engines: int
    ranks: int
    shared: bool
    """Whether each engine shares its GPU with a learner rank."""
    sleep_level: int
    """Sleep level of the engines while the learner trains; 0: they do not sleep."""
    learner_gib: float
    """GPU memory that a learner rank needs."""
    outcome: SimulatedRun | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """Speed and KV cache of one placement: engines and ranks on separate GPUs, or on shared ones."""

    speed: Speed
    cached: int
    """Sequences of full length that fit in an engine's KV cache; below 1 if the weights leave no room."""


def machines_of(text: str) -> tuple[Machine, int]:
    """``h100:16`` -> the GPU and how many; raises ValueError for another form or an unknown GPU."""
    name, _, count = text.lower().partition(":")
    machines = {machine.key: machine for machine in MACHINES}
    if name not in machines or not count.isdecimal() or int(count) < 1:
        raise ValueError(f"--gpus {text}: expected NAME:NUMBER with one of the names {', '.join(machines)}")
    return machines[name], int(count)


def splits(gpus: int, width: int) -> list[tuple[int, int]]:
    """Pairs (engines of ``width`` GPUs each, learner ranks on the rest): at most ``DIVISIONS``, evenly spread.

    Raises ValueError if there are too few GPUs for one engine and one rank.
    """
    most = (gpus - 1) // width
    if most < 1:
        raise ValueError(f"{gpus} GPUs are too few for an engine of {width} and a learner rank")
    tried = min(most, DIVISIONS)
    return [(engines, gpus - engines * width) for engines in (round(most * n / tried) for n in range(1, tried + 1))]


class Planner:
    """Plans one config on GPUs of one type."""

    def __init__(
        self,
        shape: Shape | None,
        machine: Machine,
        load: Load,
        *,
        model: ModelConfig,
        optimizer: OptimizerConfig,
        generation: GenerationConfig,
        grpo: GrpoConfig,
        sync: SyncConfig,
        longest: int = 0,
        gpus_per_engine: int,
        measured: Speed | None,
    ) -> None:
        """``longest`` is the number of tokens of the longest sequence that may be trained on. Without ``measured`` the
        speed is derived from datasheets. Raises ValueError if the model's shape is unknown."""
        if shape is None:
            raise ValueError(f"model.path: {UNKNOWN_SHAPE}, so there is no plan")
        self._machine, self._shape, self._load, self._width = machine, shape, load, gpus_per_engine
        self._model, self._optimizer, self._grpo, self._sync = model, optimizer, grpo, sync
        self._longest = longest
        share = min(SHARED_GPU_MEMORY, generation.gpu_memory_fraction)
        halves = generation.model_copy(update={"gpu_memory_fraction": share})
        self._generation = {False: generation.model_copy(update={"sleep": "off"}), True: halves}
        self._sides = {shared: self._side(each, measured) for shared, each in self._generation.items()}

    def _side(self, generation: GenerationConfig, measured: Speed | None) -> _Side:
        shape, machine, width, model = self._shape, self._machine, self._width, self._model
        cache = engine_parts(shape, generation.gpu_memory_fraction * machine.gib, gpus=width)["KV cache"]
        speed = measured or stated(
            shape,
            machine,
            context=self._load.prompt_tokens + self._load.tokens / 2,
            max_num_seqs=resolve_max_num_seqs(generation, shape, model, gpus=width, has=machine.gib).sequences,
            gpus_per_engine=width,
        )
        passes, updates = self._grpo.epochs, self._grpo.epochs * self._grpo.mini_batches
        return _Side(
            speed=replace(speed, position=passes * speed.position, update=updates * speed.update),
            cached=cache_tokens(shape, cache, gpus=width) // model.context_tokens,
        )

    def cached(self, *, shared: bool) -> int:
        """Sequences of full length that fit in an engine's KV cache; below 1 if the weights leave no room."""
        return self._sides[shared].cached

    def divisions(self, gpus: int) -> Iterator[Division]:
        """The divisions of ``gpus`` GPUs, each as soon as it is simulated. If an engine needs only one GPU, the first
        division shares every GPU between an engine and a learner rank."""
        tried = [(gpus, gpus, True)] if self._width == 1 else []
        if gpus > 1 or not tried:
            tried += [(engines, ranks, False) for engines, ranks in splits(gpus, self._width)]
        for engines, ranks, shared in tried:
            needs, level = self._learner(engines, ranks, shared=shared)
            room = level is not None and self.cached(shared=shared) >= 1
            # On a shared GPU engine and learner take turns, so sampling ahead gains nothing.
            staleness = 0 if shared else self._grpo.max_staleness
            outcome = self._simulate(engines, ranks, staleness, shared=shared) if room else None
            yield Division(
                gpus=gpus,
                engines=engines,
                ranks=ranks,
                shared=shared,
                sleep_level=level or 0,
                learner_gib=needs,
                outcome=outcome,
            )

    def by_staleness(self, division: Division, most: int) -> dict[int, SimulatedRun]:
        """The simulated run for each ``grpo.max_staleness`` from 0 to ``most``; only for 0 if GPUs are shared."""
        tried = range(1 if division.shared else most + 1)
        return {each: self._simulate(division.engines, division.ranks, each, shared=division.shared) for each in tried}

    def _simulate(self, engines: int, ranks: int, max_staleness: int, *, shared: bool) -> SimulatedRun:
        speed = self._sides[shared].speed
        steps = max(2, min(STEPS, SEQUENCES // (self._load.prompts * self._load.samples)))
        return simulate(speed, self._load, engines=engines, ranks=ranks, max_staleness=max_staleness, steps=steps)

    def best(self, found: Sequence[Division]) -> Division:
        """The division with the most samples per second; raises ValueError, with what to change, if none fits."""
        fitting = [(each.outcome.samples_per_second, -at) for at, each in enumerate(found) if each.outcome]
        if fitting:
            return found[-max(fitting)[1]]
        least = min(division.learner_gib for division in found)
        cached = max(0, *(self.cached(shared=division.shared) for division in found))
        raise ValueError(
            f"no division fits: a learner rank needs at least {least:.0f} GiB, a GPU has {self._machine.gib:g}, and an "
            f"engine's KV cache has room for {cached} sequences of model.context_tokens. Set optimizer.zero_stage 2 or "
            "3, optimizer.offload, model.gradient_checkpointing or model.lora_rank, a smaller "
            "optimizer.max_tokens_per_microbatch or model.context_tokens, or a larger cluster.gpus_per_rollout_worker"
        )

    def fewest(self, best: Division) -> Division:
        """The best division with the fewest GPUs, found by halving them for as long as the speed stays within ``NEAR``
        of ``best``; ``best`` itself if half the GPUs are slower than that."""
        least = (1 - NEAR) * best.outcome.samples_per_second if best.outcome else 0.0
        found, gpus = best, best.gpus // 2
        while gpus > self._width or gpus == self._width == 1:
            fast = [each for each in self.divisions(gpus) if each.outcome and each.outcome.samples_per_second >= least]
            if not fast:
                break
            found, gpus = self.best(fast), gpus // 2
        return found

    def _learner(self, engines: int, ranks: int, *, shared: bool) -> tuple[float, int | None]:
        """The GiB that a rank needs, and the sleep level of engines while it trains; None if the rank does not fit."""
        cluster = ClusterConfig(
            rollout_workers=engines,
            learner_ranks=ranks,
            gpus_per_rollout_worker=0.5 if shared else self._width,
            gpus_per_learner_rank=0.5 if shared else 1,
        )
        generation, has = self._generation[shared], self._machine.gib
        branches = self._model, self._optimizer, self._grpo, cluster, self._sync
        parts = rank_parts(self._shape, *branches, longest=self._longest)
        generation = resolve_sleep(parts, generation, cluster, self._grpo, lora=self._model.lora_rank > 0, has=has)
        return sum(parts.values()), generation.sleep_level if fits(parts, generation, cluster, has) else None
