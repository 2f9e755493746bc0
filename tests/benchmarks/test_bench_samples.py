"""F1 from several samples, counted by hand."""

from rnr.task.parsing import write
from rnr.types import Example, Mention, Prompt
from scripts.benchmarks.samples import Answered, rows
from tests.carriers import rollout

SENTENCE = "Ada met Bob in Rome."
ADA, BOB = Mention(text="Ada", label="person", start=0, end=3), Mention(text="Bob", label="person", start=8, end=11)
ROME, ADA_CITY = (
    Mention(text="Rome", label="city", start=15, end=19),
    Mention(text="Ada", label="city", start=0, end=3),
)
ANSWERS = {
    "[Ada: person] met [Bob: person] in [Rome: city].": (ADA, BOB, ROME),
    "[Ada: person] met Bob in [Rome: city].": (ADA, ROME),
    "[Ada: city] met Bob in [Rome: city].": (ADA_CITY, ROME),
    "Ada met Bob in Rome.": (),
}


def _answered() -> Answered:
    example = Example(
        uid="1", sentence=SENTENCE, schema=("person", "city"), mentions=(ADA, BOB, ROME), source="somewhere"
    )
    samples = [rollout(write(mentions, reasoning=chain), token_ids=(1, 2, 3)) for chain, mentions in ANSWERS.items()]
    prompt = Prompt(example=example, token_ids=(1,), decoding="marks")
    return Answered(prompt=prompt, greedy=samples[2], samples=tuple(samples))


def test_greedy_single_votes_medoid_and_the_best_of_four_samples() -> None:
    found = {name: (cells[0].split()[0], cells[-1]) for name, *cells in rows([_answered()])}
    assert found == {
        # Only Rome is right, of two tags given and three gold mentions: precision 1/2, recall 1/3.
        "greedy": ("40.00", "3.0"),
        # All three: 100; two of them: 80; only Rome: 40; none: 0.
        "one sample": ("55.00", "3.0"),
        # Ada is a person in two samples, Bob in one, Rome in three; Ada as a city overlaps a mention with more votes.
        "vote, share 0.25": ("100.00", "12.0"),
        "vote, share 0.5": ("80.00", "12.0"),
        "vote, share 0.75": ("50.00", "12.0"),
        "vote, share 1": ("0.00", "12.0"),
        # The sample with Ada and Rome agrees with the others by 0.8 + 0.5, the one with all three by 0.8 + 0.4.
        "medoid": ("80.00", "12.0"),
        "best of 4 (oracle)": ("100.00", "12.0"),
    }
