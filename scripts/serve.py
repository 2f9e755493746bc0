"""A model over HTTP: POST /extract, a page to try it at /, and vLLM's OpenAI-compatible server under /v1.

python -m scripts.serve runs/demo/export
curl -s localhost:8000/extract -H "content-type: application/json" \\
    -d '{"sentences": ["Ada Lovelace was born in London."], "labels": ["person", "city"]}'
"""

import os
import signal
import socket
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Annotated, Literal

import typer

from actors.question import Limits
from rnr.config import ModelConfig
from scripts.command_line import as_written, new_app, run, within

app = new_app()
_LIMITS = Limits()
OWN_NAMES = ("127.0.0.1", "localhost", "::1")


def main(argv: list[str]) -> int:
    return run(app, argv, lasts=True)


@app.command(help=as_written(__doc__))
def serve(
    model: Annotated[str, typer.Argument(help="a Hugging Face folder, such as the export of a run")],
    host: Annotated[str, typer.Option(help="any address but loopback is open to the network")] = "127.0.0.1",
    port: Annotated[int, typer.Option(callback=within(0, 65535), help="0: any free port")] = 8000,
    name: Annotated[str | None, typer.Option(help="model name under /v1; default: the folder's name")] = None,
    engine: Annotated[Literal["vllm", "transformers"], typer.Option(help="transformers has no /v1")] = "vllm",
    api_key: Annotated[str, typer.Option(envvar="RNR_API_KEY", help="key that /extract and /v1 require")] = "",
    max_sentences: Annotated[
        int | None, typer.Option(callback=within(1), help=f"maximum per request; default: {_LIMITS.sentences}")
    ] = None,
    max_characters: Annotated[int, typer.Option(callback=within(1), help="maximum per request")] = _LIMITS.characters,
    max_waiting: Annotated[
        int, typer.Option(callback=within(1), help="maximum queued sentences over all requests; beyond it, 429")
    ] = _LIMITS.waiting,
    context_tokens: Annotated[
        int, typer.Option(callback=within(32), help="limit of prompt and answer")
    ] = ModelConfig().context_tokens,
) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    if max_sentences is not None and max_sentences > max_waiting:
        raise ValueError(f"--max-sentences {max_sentences} is more than --max-waiting {max_waiting}")
    begin = time.monotonic()
    listening = _listen(host, port)  # an address in use is refused before a model is loaded
    if host not in OWN_NAMES and not api_key:
        print(f"warning: {host} is open to the network without an API key: see --api-key", file=sys.stderr)
    from actors.loading import load

    sentences = max_sentences or min(_LIMITS.sentences, max_waiting)
    limits = Limits(sentences=sentences, characters=max_characters, waiting=max_waiting)
    served = name or _name_of(model)
    with load(model, engine=engine, context_tokens=context_tokens) as extractor:
        from actors.serving import Serving

        serving = Serving(extractor, served, limits, api_key=api_key)

        def stop(_signal: int, _frame: FrameType | None) -> None:
            serving.stop()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        _share(listening, True)
        ended = serving.start(listening)
        where = "{}:{}".format(*listening.getsockname()[:2])
        print(f"{served} at http://{where} after {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
        ended.result()
    print("stopped", file=sys.stderr)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        _share(listening, True)
        listening.bind((host, port))
        # Until it listens, another server that asks to reuse the address could bind it too, and fail only with its
        # model loaded.
        _share(listening, False)
    except OSError as error:
        raise ValueError(f"cannot listen at {host}:{port}: {error.strerror or error}") from None
    return listening


def _share(listening: socket.socket, on: bool) -> None:
    """Whether another socket that asks to may bind this address as well; on once it listens, so that the next server
    need not wait for the connections of this one."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, on)


def _name_of(model: str) -> str:
    """The run's name for ``runs/NAME/export``, else the folder's."""
    folder = Path(os.path.abspath(model))
    return folder.parent.name if folder.name == "export" else folder.name


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
