"""What is known of the tokens of a few groups of a step, from the driver and from the learner, into the run folder."""

from collections.abc import Mapping, Sequence

from cluster.disk import Disk
from cluster.policy import PolicyService
from rewards.advantage import TrainingBatch
from rnr.runs.token_values import kept_groups, token_rows
from rnr.runs.tracking import Tracker
from rnr.types import ScoredGroup


async def record_step(
    disk: Disk,
    tracker: Tracker,
    policy: PolicyService,
    step: int,
    groups: Sequence[ScoredGroup],
    batch: TrainingBatch,
    metrics: Mapping[str, float],
) -> None:
    """Write the lines of ``metrics.jsonl``, ``rollouts.jsonl`` and ``tokens.jsonl`` of a GRPO step whose update is
    done, waiting for room on a full disk."""
    await disk.retry("metrics", lambda: tracker.log("grpo", step, metrics))
    await disk.retry("rollouts", lambda: tracker.log_rollouts(step, groups, batch.dropped, batch.advantages))
    await disk.retry_async("tokens", lambda: record_tokens(tracker, policy, step, groups, batch))


async def record_tokens(
    tracker: Tracker, policy: PolicyService, step: int, groups: Sequence[ScoredGroup], batch: TrainingBatch
) -> None:
    """Write the lines of ``tokens.jsonl`` of a step whose update is done."""
    kept = kept_groups(groups, batch.dropped)
    uids = [scored.group.prompt.uid for scored in kept]
    values = await policy.token_values(uids) if batch.samples else {}
    tracker.log_tokens(token_rows(step, kept, batch.samples, values))
