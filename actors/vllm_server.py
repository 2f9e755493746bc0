"""vLLM's own OpenAI-compatible server over the engine that a model was loaded on. Its interfaces move between releases:
only this file knows them."""

import inspect
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from actors.vllm_engine import VllmEngine


async def openai_app(engine: VllmEngine, folder: str, name: str, *, api_key: str) -> FastAPI:
    """The application with ``/v1/chat/completions``, ``/v1/completions``, ``/v1/models``, ``/health``, ``/metrics``."""
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    build_app, init_app_state, make_arg_parser = _of_this_release()
    parser = make_arg_parser(FlexibleArgumentParser())
    # No other origin: a page from anywhere in a user's browser could ask a server on loopback otherwise.
    options = ["--model", folder, "--served-model-name", name, "--allowed-origins", "[]", "--disable-log-stats"]
    arguments = parser.parse_args([*options, *(["--api-key", api_key] if api_key else [])])
    client = engine.client
    tasks = await client.get_supported_tasks()
    offered = {"supported_tasks": tasks, "model_config": client.model_config}
    app = _with(build_app, offered, arguments)
    await _with(init_app_state, offered, client, app.state, arguments)
    return app


def _of_this_release() -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    try:
        from vllm.entrypoints.launchers.api_server.app_state import init_app_state
        from vllm.entrypoints.launchers.app import build_app
        from vllm.entrypoints.launchers.cli_args import make_arg_parser
    except ImportError:  # before 0.30
        from vllm.entrypoints.openai.api_server import build_app, init_app_state
        from vllm.entrypoints.openai.cli_args import make_arg_parser  # type: ignore[import-not-found]
    return build_app, init_app_state, make_arg_parser


def _with(function: Callable[..., Any], offered: dict[str, Any], *given: Any) -> Any:
    """Call the function with those of the offered arguments that it takes."""
    names = list(inspect.signature(function).parameters)
    return function(*given, **{name: value for name, value in offered.items() if name in names[len(given) :]})
