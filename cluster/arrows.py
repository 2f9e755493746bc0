"""The four arrows of the GRPO loop, drawn on a running cluster."""

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

from actors.pool import LeaseFailed
from actors.rollout import Sampling
from cluster.checkpoint import Progress
from cluster.controller import Metrics
from cluster.launch import Cluster
from cluster.schedule import Schedule
from rewards.advantage import TrainingBatch, training_batch
from rewards.composite import invalid_group
from rnr.config import Config
from rnr.runs.tracking import Tracker
from rnr.types import Group, Prompt, Sample, ScoredGroup

GROUPS_WITHOUT_REWARD = 3
"""So many groups in a row whose reward could not be computed end the run: then it is not the group."""


@dataclass(frozen=True, slots=True)
class Arrows:
    """Rollouts, rewards, learner and weights of ``cluster.controller.grpo``; they keep ``progress`` up to date."""

    config: Config
    schedule: Schedule
    cluster: Cluster
    tracker: Tracker
    progress: Progress

    async def generate(self, prompt: Prompt, step: int, position: int) -> Group:
        """One group of sampled completions; their seed follows from the run and the place of the prompt."""
        self.tracker.phase("grpo", step, "rollout")
        return await self._sample(f"rollout of step {step}", prompt, self.config.sampling.samples_per_prompt, position)

    async def generate_and_score(self, prompt: Prompt, count: int) -> ScoredGroup:
        """``count`` scored completions of a prompt that is to be selected or not, outside the stream of prompts."""
        place = -1 - crc32(prompt.uid.encode())  # not a place of the stream
        return await self.score(await self._sample("selection", prompt, count, place))

    async def _sample(self, phase: str, prompt: Prompt, count: int, position: int) -> Group:
        options = self.config.sampling
        sampling = Sampling(
            count=count,
            temperature=options.temperature,
            max_new_tokens=options.max_new_tokens,
            seed=(self.config.run.seed * 1_000_003 + position) * 1009 % 2**31,
        )
        return await self.cluster.rollouts.lease(phase, lambda worker: worker.generate.remote(prompt, sampling))

    async def score(self, group: Group) -> ScoredGroup:
        """The group with rewards, from the reward pool; all invalid if every worker that had it hung or died.

        Raises LeaseFailed for the last of ``GROUPS_WITHOUT_REWARD`` such groups in a row.
        """
        rewards = self.cluster.rewards
        try:
            return await rewards.lease("reward", lambda worker: worker.score.remote(group))
        except LeaseFailed as failure:
            if rewards.given_up_in_a_row >= GROUPS_WITHOUT_REWARD:
                raise LeaseFailed(
                    f"reward.preset {self.config.reward.preset!r} gave {rewards.given_up_in_a_row} groups in a row no "
                    f"reward: it hangs, ends its process, or needs more than cluster.deadline_seconds for the "
                    f"{len(group.rollouts)} answers of a group. The last group was {group.prompt.uid}, {failure}"
                ) from failure
            return invalid_group(group, f"LeaseFailed: {failure}")

    async def update(self, samples: Sequence[Sample], step: int, sampled: int) -> Metrics:
        """One GRPO batch on the learner."""
        rate = self.schedule.learning_rate("grpo", step)
        self.tracker.phase("grpo", step, "update")
        ages = [self.progress.version - sample.policy_version for sample in samples]
        metrics = await self.cluster.learner.grpo_step(
            samples,
            self.config.grpo,
            learning_rate=rate,
            temperature=self.config.sampling.temperature,
            max_new_tokens=self.config.sampling.max_new_tokens,
            sampled=sampled,
        )
        self.progress.version += 1
        staleness = {"async/staleness_mean": sum(ages) / len(ages), "async/staleness_max": max(ages)}
        return metrics | staleness | {"actor/lr": rate}

    async def publish(self) -> Metrics:
        """The learner's weights on every rollout worker, verified by the probe."""
        metrics = await self.cluster.link.publish(self.progress.version)
        largest = max(self.progress.probe_max_difference, self.cluster.link.largest_difference)
        self.progress.probe_max_difference = round(largest, 6)
        return metrics


def to_batch(config: Config, groups: Sequence[ScoredGroup]) -> TrainingBatch:
    """What the groups of one step teach under this config."""
    return training_batch(groups, config.grpo, config.reward.weights)
