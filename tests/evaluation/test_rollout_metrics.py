"""What a step's rollouts say about the task."""

from dataclasses import replace

from rewards.schema import schema
from rnr.evaluation.metrics import Counts
from rnr.evaluation.rollout_metrics import answer_chain_counts, ner_metrics
from rnr.types import Answer, Example, Group, Mention, Prompt, Reward, ScoredGroup


def scored(sentence, gold, answers):
    example = Example(uid=sentence, sentence=sentence, schema=("person", "city"), mentions=gold)
    group = Group(prompt=Prompt(example=example, token_ids=(1,)), rollouts=())
    return ScoredGroup(
        group=group,
        rewards=tuple(Reward(total=0.0) for _ in answers),
        answers=answers,
    )


def mention(text, label, start):
    return Mention(text=text, label=label, start=start, end=start + len(text) if start >= 0 else -1)


def test_shares_and_scores_are_taken_over_all_answers_of_the_step():
    ada = mention("Ada", "person", 0)
    found = scored(
        "Ada ran.",
        (ada,),
        (
            Answer(reasoning=None, mentions=(ada, mention("Bob", "person", -1))),
            Answer(reasoning=None, mentions=(), error="no_json"),
        ),
    )
    nothing = scored(
        "It rained.",
        (),
        (Answer(reasoning=None, mentions=()), Answer(reasoning=None, mentions=(mention("It", "planet", 0),))),
    )
    metrics = ner_metrics([found, nothing])
    # One of three predictions is right; gold is one mention in each of two answers, found once.
    assert metrics["ner/precision"] == 1 / 3
    assert metrics["ner/recall"] == 1 / 2
    assert metrics["ner/f1"] == 0.4
    assert metrics["ner/parse_fail"] == 1 / 4
    assert metrics["ner/schema_valid"] == 2 / 4  # not the unreadable one, not the one with a planet
    assert metrics["ner/hallucinated_span_frac"] == 1 / 3
    assert metrics["ner/empty_gold_acc"] == 1 / 2
    assert "ner/chain_f1" not in metrics  # no chain is tagged


def test_a_label_in_another_writing_is_in_the_schema_as_it_is_for_the_reward():
    answers = tuple(
        Answer(reasoning=None, mentions=(mention("Ada", label, 0),)) for label in ("Art_Work", "art work", "artwork")
    )
    group = scored("Ada ran.", (), answers)
    example = replace(group.group.prompt.example, schema=("art work",))
    asked = replace(group, group=replace(group.group, prompt=replace(group.group.prompt, example=example)))
    assert ner_metrics([asked])["ner/schema_valid"] == 2 / 3
    assert [schema(example, answer) for answer in answers] == [1.0, 1.0, 0.0]


def test_the_f1_of_the_chains_is_that_of_their_tags():
    def said(reasoning):
        return Answer(reasoning=reasoning, mentions=())

    answers = (
        said("[Ada: person] [ran: city]."),  # 1 of 2 tags is right
        said("[Adam: person] ran."),  # a copy error
        said("I see nobody here."),  # in free words: not a tagged chain, and not counted
        said(None),
    )
    group = scored("Ada ran.", (mention("Ada", "person", 0),), answers)
    assert ner_metrics([group])["ner/chain_f1"] == 2 * 1 / (3 + 2)
    assert [answer_chain_counts(group.group.prompt.example, answer) for answer in answers] == [
        Counts(1, 1, 0),
        Counts(0, 1, 1),
        None,
        None,
    ]
