"""What a fresh interpreter loads: the task knows no engine, and our packages are the ones in this repository."""

import ast
import json
import pickle
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "rnr",
    "rnr.files",
    "rnr.corpus.formats",
    "rnr.synthesis",
    "rnr.runs",
    "rewards",
    "actors",
    "learner",
    "cluster",
    "scripts",
)
FOLDERS = {name: ROOT.joinpath(*name.split(".")) for name in PACKAGES}
ENGINES = ("ray", "torch", "vllm", "deepspeed", "transformers", "wandb")


def _fresh(program: str) -> object:
    """What ``program`` prints as JSON, run at the root of the repository by an interpreter of its own."""
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_importing_the_whole_task_loads_no_engine() -> None:
    modules = [
        ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for package in ("rnr", "rewards")
        for file in sorted((ROOT / package).rglob("*.py"))
        if file.stem != "__init__"
    ]
    assert {"rnr.types", "rnr.corpus.formats.columns.reading", "rewards.composite"} <= set(modules)
    program = (
        "import importlib, json, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        f"print(json.dumps([name for name in {ENGINES!r} if name in sys.modules]))"
    )
    assert _fresh(program) == []


def test_every_package_is_the_one_in_this_repository() -> None:
    program = (
        "import importlib.util, json\n"
        f"print(json.dumps({{name: importlib.util.find_spec(name).origin for name in {PACKAGES!r}}}))"
    )
    assert _fresh(program) == {name: str(FOLDERS[name] / "__init__.py") for name in PACKAGES}


def test_the_package_offers_load_and_loads_no_engine_until_it_is_asked_for() -> None:
    program = (
        "import json, sys, rnr\n"
        "before = [name for name in ('actors', 'torch') if name in sys.modules]\n"
        "from rnr import load\n"
        "print(json.dumps([before, load.__module__, 'vllm' in sys.modules or 'ray' in sys.modules]))"
    )
    assert _fresh(program) == [[], "actors.loading", False]


def test_package_files_hold_at_most_a_docstring() -> None:
    # That of `rnr` offers `load`, that of `scripts` is what `python -m` imports before anything else.
    for folder in (folder for name, folder in FOLDERS.items() if name not in ("rnr", "scripts")):
        body = ast.parse((folder / "__init__.py").read_text()).body
        assert all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body), folder


def test_the_driver_loads_nothing_before_its_first_words_and_no_models_until_it_needs_one() -> None:
    loaded = "print(json.dumps([name for name in NAMES if name in sys.modules]))"
    names = (*ENGINES, "peft", "transformers.modeling_utils")
    assert _fresh(f"import json, sys, scripts.train; NAMES = {names!r}; {loaded}") == []
    assert _fresh(f"import json, sys, cluster.run; NAMES = {names!r}; {loaded}") == ["ray", "torch"]


def test_what_a_rank_has_decided_comes_to_the_driver_without_deepspeed() -> None:
    from learner.bucketed_layout import bucketed_layout
    from learner.settings import Fitted
    from learner.varlen_layout import varlen_layout

    sent = [Fitted(arrange=arrange, max_tokens=9, notes=()) for arrange in (bucketed_layout, varlen_layout)]
    program = (
        f"import json, pickle, sys; received = pickle.loads({pickle.dumps(sent)!r})\n"
        "print(json.dumps([received[0].max_tokens, [name for name in ('deepspeed', 'peft') if name in sys.modules]]))"
    )
    assert _fresh(program) == [9, []]


def test_commands_load_no_engine_before_their_input_was_read() -> None:
    # `plan` asks the transports what they keep on a GPU.
    program = (
        "import importlib, json, sys\n"
        "from scripts.main import COMMANDS\n"
        "for name in COMMANDS.keys() - {'plan'}: importlib.import_module(f'scripts.{name}')\n"
        f"print(json.dumps([name for name in {ENGINES!r} if name in sys.modules]))"
    )
    assert _fresh(program) == []


def test_rnr_shows_what_it_has_and_its_version_without_loading_an_engine() -> None:
    program = (
        "import json, sys, rnr\n"
        "shown = [name for name in dir(rnr) if name in ('load', '__version__')]\n"
        f"print(json.dumps([shown, rnr.__version__, [name for name in {ENGINES!r} if name in sys.modules]]))"
    )
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert _fresh(program) == [["__version__", "load"], version, []]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_help_of_no_command_loads_an_engine() -> None:
    program = (
        "import contextlib, importlib, io, json, sys\n"
        "from scripts.main import COMMANDS\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    codes = [importlib.import_module(f'scripts.{name}').main(['--help']) for name in COMMANDS]\n"
        f"print(json.dumps([sum(codes), [name for name in {ENGINES!r} if name in sys.modules]]))"
    )
    assert _fresh(program) == [0, []]


def test_the_headers_of_weights_are_read_without_an_engine(tmp_path) -> None:
    header = b'{"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}'
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"1234")
    program = (
        "import json, sys\n"
        "from rnr.model_folder import count_weights\n"
        f"print(json.dumps([count_weights({str(tmp_path)!r}), [n for n in {ENGINES!r} if n in sys.modules]]))"
    )
    assert _fresh(program) == [2, []]
