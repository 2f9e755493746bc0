"""What each metric is called and how it is computed: one table, for the report and for docs/watching.md."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Meaning:
    """Describes the metrics whose name matches ``pattern``, in which ``*`` stands for a part, such as a data set."""

    pattern: str
    title: str
    how: str

    def matches(self, name: str) -> bool:
        return re.fullmatch(re.escape(self.pattern).replace(r"\*", ".+"), name) is not None


MEANINGS = (
    Meaning("reward/mean", "Reward", "mean of the valid rewards of all rollouts of a step"),
    Meaning("reward/std", "Spread of rewards", "standard deviation of the valid rewards of a step, over all groups"),
    Meaning("reward/frac_zero_std", "Groups without spread", "share of groups whose valid rewards are all equal"),
    Meaning("reward/invalid_frac", "Invalid rewards", "share of rollouts whose reward could not be computed"),
    Meaning("reward/invalid/*", "Invalid, by cause", "rollouts whose reward failed with this cause"),
    Meaning("rewards/*/mean", "Part of the reward", "mean of this named reward over the rollouts that have it"),
    Meaning("ner/f1", "F1 of rollouts", "micro F1 of all sampled answers against the gold, by text and label"),
    Meaning("ner/precision", "Precision of rollouts", "right among all predicted entities of the sampled answers"),
    Meaning("ner/recall", "Recall of rollouts", "found among all gold entities, over the sampled answers"),
    Meaning("ner/chain_f1", "F1 of chains", "micro F1 of what the tagged chains tag, by offsets and label"),
    Meaning("ner/parse_fail", "Unparsable answers", "share of rollouts whose answer could not be parsed"),
    Meaning(
        "ner/schema_valid",
        "Answers within the schema",
        "share of answers that were parsed and use only labels of the schema",
    ),
    Meaning(
        "ner/hallucinated_span_frac",
        "Not in the sentence",
        "share of predicted entities whose text is not in the sentence",
    ),
    Meaning("ner/empty_gold_acc", "Correctly empty", "share of empty answers among sentences without gold entities"),
    Meaning("response_length/mean", "Tokens of an answer", "mean tokens of a rollout, chain included"),
    Meaning("response_length/max", "Longest answer", "maximum tokens of a rollout in the step"),
    Meaning("response_length/clip_ratio", "Cut answers", "share of rollouts cut at the token limit"),
    Meaning("prompt_length/mean", "Tokens of a prompt", "mean tokens of the step's prompts"),
    Meaning("actor/pg_loss", "Policy loss", "clipped policy-gradient loss, averaged over trained tokens"),
    Meaning("actor/pg_clipfrac", "Clipped tokens", "share of trained tokens whose ratio was clipped"),
    Meaning("actor/clip_low", "Clipped below", "share of trained tokens held at the lower bound"),
    Meaning("actor/clip_high", "Clipped above", "share of trained tokens held at the upper bound"),
    Meaning("actor/ppo_kl", "KL to the old policy", "mean of old minus new log-probability over trained tokens"),
    Meaning("actor/kl_loss", "KL to the reference", "estimate of grpo.kl_estimator, mean over trained tokens"),
    Meaning("actor/entropy", "Entropy", "mean entropy in nats of the policy's distribution at trained tokens"),
    Meaning("actor/grad_norm", "Gradient norm", "global norm before clipping"),
    Meaning("actor/lr", "Learning rate", "of this step"),
    Meaning("actor/skipped_steps", "Skipped steps", "share of optimizer steps whose loss or gradient was not finite"),
    Meaning(
        "training/rollout_probs_diff_mean",
        "Probability mismatch",
        "mean of |p_sampler - p_learner| over trained tokens, before the update; under 0.01 is rounding",
    ),
    Meaning(
        "rollout_corr/kl",
        "KL sampler to learner",
        "k1 estimate: mean of log p_sampler - log p_learner; may be negative",
    ),
    Meaning("rollout_corr/rollout_is_mean", "Correction weight", "mean weight of grpo.rollout_correction"),
    Meaning("async/staleness_mean", "Staleness", "mean GRPO steps between sampling and training"),
    Meaning("async/staleness_max", "Largest staleness", "maximum GRPO steps between sampling and training"),
    Meaning("async/num_groups_dropped", "Discarded groups", "groups of the step without a learning signal"),
    Meaning("timing_s/step", "Seconds per step", "from its first request to the end of its sync"),
    Meaning("timing_s/gen", "Seconds of sampling", "from the step's first request to its last rollout"),
    Meaning("timing_s/reward", "Seconds of scoring", "waited for rewards after the step's last rollout"),
    Meaning("timing_s/wait_batch", "Seconds of waiting", "in which the learner had no batch"),
    Meaning("timing_s/update_actor", "Seconds of training", "of the step's optimizer steps"),
    Meaning("timing_s/sleep", "Seconds of entering sleep mode", "of engines that share a GPU; part of training"),
    Meaning("timing_s/update_weights", "Seconds of sync", "publishing the policy, loading and verifying it"),
    Meaning("timing_s/load_weights", "Seconds of loading", "of the slowest rollout worker"),
    Meaning("perf/samples_per_s", "Rollouts per second", "over the whole step"),
    Meaning("rollout/tokens_per_s", "Sampled tokens per second", "while the step's groups were sampled"),
    Meaning("infra/weight_version", "Policy version", "loaded by the rollout workers"),
    Meaning("infra/probe_difference", "Probe difference", "mean |log p| difference of engine and learner on the probe"),
    Meaning("infra/*_workers_alive", "Workers alive", "of this kind, at the end of the step"),
    Meaning("infra/*_workers_wanted", "Workers wanted", "of this kind, at the end of the step"),
    Meaning("infra/*_restarts_total", "Workers replaced", "of this kind, since the start of the process"),
    Meaning("infra/*_leases_reissued", "Leases reissued", "after a worker was lost, since the start"),
    Meaning("infra/non_finite_metrics", "Non-finite metrics", "number of the step's metrics that were NaN or infinite"),
    Meaning("sft/loss", "SFT loss", "cross-entropy in nats, mean over target tokens"),
    Meaning("sft/held_out_loss", "Held-out SFT loss", "the same on sentences that are not trained on"),
    Meaning("sft/lr", "SFT learning rate", "of this step"),
    Meaning("sft/tokens_per_s", "SFT tokens per second", "prompt and target tokens of the step over its seconds"),
    Meaning("val/f1", "F1 of the evaluation", "mean over data sets under the paper's protocol, in per cent"),
    Meaning(
        "val/uncalibrated_f1", "F1 with the policy's own labels", "as val/f1, of the same answers before calibration"
    ),
    Meaning("val/exact_f1", "Exact F1", "mean over data sets under the exact protocol, in per cent"),
    Meaning("val/finished", "Finished answers", "per cent of greedy answers that ended before the token limit"),
    Meaning("val/*/f1", "F1 of a data set", "under the paper's protocol, in per cent"),
    Meaning("val/*/precision", "Precision of a data set", "under the paper's protocol, in per cent"),
    Meaning("val/*/recall", "Recall of a data set", "under the paper's protocol, in per cent"),
)


def meaning_of(name: str) -> Meaning | None:
    """The meaning of a metric; None for one that is not in the table, such as one of a user's reward."""
    return next((meaning for meaning in MEANINGS if meaning.matches(name)), None)
