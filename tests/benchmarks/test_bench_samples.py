"""What several samples hold, counted by hand."""

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
        # Rome alone of two tags and three mentions: precision 1/2, recall 1/3.
        "greedy": ("40.00", "3.0"),
        # All three: 100, two of them: 80, Rome alone: 40, nothing: 0.
        "one sample": ("55.00", "3.0"),
        # Ada is a person twice, Bob once, Rome three times; Ada as a city crosses what more samples name.
        "vote, share 0.25": ("100.00", "12.0"),
        "vote, share 0.5": ("80.00", "12.0"),
        "vote, share 0.75": ("50.00", "12.0"),
        "vote, share 1": ("0.00", "12.0"),
        # Ada and Rome agree with the others by 0.8 + 0.5, all three by 0.8 + 0.4.
        "medoid": ("80.00", "12.0"),
        "best of 4 (oracle)": ("100.00", "12.0"),
    }
