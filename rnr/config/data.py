"""Which sentences are trained and evaluated on, and how they are read and asked."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rnr.config.section import Section

Spaces = Literal["script", "always", "never"]
Offsets = Literal["auto", "characters", "utf16", "bytes", "inclusive", "tokens", "graphemes"]


class ReadingConfig(Section):
    """How files of other tools are read where they do not tell it themselves."""

    tag_column: int = 0
    """In column files the column of the tags, from 1, or from the end as -1; 0 finds it by its content."""
    spaces: Spaces = "script"
    """Whether a space stands between two tokens: ``script`` puts none between those of a script that writes none, nor
    between those of a file that is cut into characters."""
    offsets: Offsets = "auto"
    """What the offsets of files count. ``auto`` takes characters and refuses a file whose mentions begin or end inside
    words; ``characters`` takes them as they are; the others (UTF-16 units, bytes of UTF-8, characters with an inclusive
    end, words, characters with all that is joined to them) are converted."""
    labels: tuple[str, ...] = ()
    """Names of labels or tags that are numbers in the data, in the order of their numbers or as ``2=person``."""


class DataConfig(Section):
    train: tuple[str, ...] = ("demo/train",)
    """Files or folders, or ``demo/train``."""
    evaluation: tuple[str, ...] = ("demo/known", "demo/unseen")
    """Files or folders to score on; training sentences that stand in them are dropped."""
    mixture: dict[str, float] | Literal["size"] = Field(default={})
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
