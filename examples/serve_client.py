"""A client of `rnr serve`: start `rnr serve runs/demo/export` (or `python -m scripts.serve ...`) first.

python -m examples.serve_client "Ada Lovelace was born in London." --labels person,city
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import httpx


def extract(
    sentences: Sequence[str],
    labels: Sequence[str] | Mapping[str, str],
    *,
    url: str = "http://127.0.0.1:8000",
    **options: Any,
) -> list[dict[str, Any]]:
    """The results of the sentences, in order; `options` are request fields such as `samples=8` or `threshold=0.5`.

    Raises RuntimeError with the server's message if it refuses: too many sentences, too many requests, no key.
    """
    key = os.environ.get("RNR_API_KEY", "")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    labels = dict(labels) if isinstance(labels, Mapping) else list(labels)
    body = {"sentences": list(sentences), "labels": labels, **options}
    reply = httpx.post(f"{url}/extract", json=body, headers=headers, timeout=300)
    if reply.is_error:
        raise RuntimeError(f"{url}: {reply.status_code}: {reply.text[:300]}")
    return reply.json()["results"]


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sentences", nargs="+")
    parser.add_argument("--labels", default="person,city")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    options = parser.parse_args(argv)
    try:
        results = extract(options.sentences, options.labels.split(","), url=options.url)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        print(f"error: no answer from {options.url}: {error}; is `rnr serve` running there?", file=sys.stderr)
        return 1
    except RuntimeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for result in results:
        print(result["sentence"])
        for entity in result["entities"]:
            print(f"  {entity['start']:4}-{entity['end']:<4} {entity['label']:12} {entity['text']}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
