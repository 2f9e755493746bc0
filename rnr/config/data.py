"""Which sentences are trained and evaluated on, and how they are read and asked."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rnr.config.section import Section

Spaces = Literal["script", "always", "never"]
Offsets = Literal["auto", "characters", "utf16", "bytes", "inclusive", "tokens", "graphemes"]


class ReadingConfig(Section):
    """How to read files of other tools where the file itself does not say."""

    tag_column: int = 0
    """Column of the tags in column files, from 1, or from the end as -1; 0 detects it by content."""
    spaces: Spaces = "script"
    """Whether tokens are joined by spaces. ``script``: not in scripts written without spaces, nor in files split into
    characters or with tokens for their spaces; ``always``; ``never``."""
    offsets: Offsets = "auto"
    """Unit of the offsets. ``auto``: characters, but a file whose mentions start or end inside words is refused;
    ``characters``: no check; ``utf16`` code units, UTF-8 ``bytes``, ``inclusive`` ends, ``tokens`` and ``graphemes``
    are converted."""
    labels: tuple[str, ...] = ()
    """Names of labels or tags that are numbers in the data, in numerical order or as ``2=person``."""


class DataConfig(Section):
    train: tuple[str, ...] = Field(default=("demo/train",), min_length=1)
    """Training data: files or folders, or ``demo/train``."""
    evaluation: tuple[str, ...] = Field(default=("demo/known", "demo/unseen"), min_length=1)
    """Evaluation data: files or folders. Training sentences that occur in them, drawn or not, are dropped."""
    mixture: dict[str, float] | Literal["size"] = Field(default={})
    """Sampling weight by source (1 if not named), or ``size``: in proportion to each source's size, as in the
    paper."""
    sft_examples: int = Field(default=0, ge=0)
    """Maximum number of SFT examples, drawn evenly from the sources or by ``mixture``; 0: all."""
    evaluation_examples: int = Field(default=0, ge=0)
    """Maximum number of sentences per evaluation set, the same in every run; 0: all."""
    keep_by_mentions: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()
    """Fractions to keep of the training sentences with 0, 1, 2, ... mentions; sentences with more are all kept."""
    grpo_examples: int = Field(default=0, ge=0)
    """Size of GRPO's prompt pool, drawn like ``sft_examples``; 0: all."""
    grpo_keep_by_mentions: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()
    """A further ``keep_by_mentions`` for GRPO's pool only, applied after schema variation."""
    special_labels: float = Field(default=0.0, ge=0, le=1)
    """Fraction of training sentences whose labels are refined where the text allows it, such as ``person`` to
    ``sportsperson`` (``rnr/corpus/fine_labels.py``). Refined ones form a source of the same weight."""
    schema_variation: float = Field(default=0.0, ge=0, le=1)
    """Fraction of training examples with a varied schema: labels renamed, added, dropped
    (``rnr/corpus/schema_variation.py``)."""
    schema_views: int = Field(default=1, ge=1)
    """How often a training sentence may be drawn, each time with a different schema variation."""
    max_prompt_tokens: int = Field(default=0, ge=0)
    """Drop longer prompts from the training data (never from the evaluation); 0 keeps all."""
    prompt: str = Field(default="compact", min_length=1)
    """Prompt template. ``compact``: ours, in English, or ``compact-de``, ``-fr``, ``-es``, ``-it``, ``-pt``, ``-nl``,
    ``-zh``; ``reference``: the paper's, byte for byte; or a text file with your own prompt, in any language
    (``docs/prompts.md``)."""
    catch_all_labels: bool = True
    """Use catch-all labels (misc, other, else, na, nan). ``false`` drops them from schemas and gold, as the paper does.
    The prompt ``reference`` never uses them."""
    definitions: str = ""
    """JSON file ``{label: definition}``; the prompt shows the definitions."""
    difficulty_rollouts: int = Field(default=0, ge=0)
    """Difficulty filter: sample this many rollouts per prompt after the warm start and drop prompts that are always
    right or always wrong; 0 disables it."""
    keep_sources: tuple[str, ...] = ()
    """Sources to keep although they are training sets of an evaluated zero-shot benchmark."""
    skip_bad_rows: bool = False
    """Drop and report rows that cannot be read, instead of refusing the file."""
    duplicates: Literal["keep", "first", "majority", "error"] = "keep"
    """Training rows of the same sentence: keep all, the first, or the majority annotation; ``error`` stops the run if
    they disagree."""
    reading: ReadingConfig = ReadingConfig()
    """How files of other tools are read."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        some, all_set = (how((self.sft_examples, self.grpo_examples)) for how in (any, all))
        if self.mixture and not (some if self.mixture == "size" else all_set):
            sizes = {"sft_examples": self.sft_examples, "grpo_examples": self.grpo_examples}
            unset = " and ".join(key for key, size in sizes.items() if not size)
            raise ValueError(f"mixture sets how sft_examples and grpo_examples are drawn: set {unset} (0 takes all)")
        if self.schema_views > 1 and not self.schema_variation:
            raise ValueError("schema_views above 1 needs schema_variation, or the views are all the same")
        if self.definitions and self.prompt == "reference":
            raise ValueError('definitions need another prompt: "reference" has no place for them')
        return self

    @property
    def asks_catch_alls(self) -> bool:
        """Whether catch-all labels are trained and asked for; the paper's prompt never uses them."""
        return self.catch_all_labels and self.prompt != "reference"
