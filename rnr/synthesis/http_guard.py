"""Guards HTTP requests to an endpoint: no redirect to another host, no reply without a size limit."""

from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any

MAX_REPLY_BYTES = 16 * 2**20
"""Size limit of one reply. The longest reply of a model, with its reasoning, has a few hundred KB."""


class ForeignRedirect(Exception):
    """The endpoint redirected the request, which contains sentences, to another host."""


class ReplyTooLarge(Exception):
    """A reply has more than ``MAX_REPLY_BYTES``."""


def guarded_client(base_url: Any) -> Any:
    """An HTTP client for openai's client that only connects to the host of ``base_url`` and reads at most
    ``MAX_REPLY_BYTES`` of a reply.

    Its requests raise ForeignRedirect or ReplyTooLarge. It sets no timeout.
    """
    import openai

    async def refuse_other_host(request: Any) -> None:
        downgraded = base_url.scheme == "https" and request.url.scheme != "https"
        if request.url.host != base_url.host or downgraded:
            raise ForeignRedirect(
                f"redirected to {request.url.scheme}://{request.url.host}; if that is intended, pass it as --base-url"
            )

    async def limit(response: Any) -> None:
        encoding = response.headers.get("content-encoding", "identity")
        if encoding != "identity":  # a small compressed reply can decompress to a large one
            raise ReplyTooLarge(f"the reply is compressed ({encoding[:20]}), although no compression was requested")
        response.stream = _limited(response)

    return openai.DefaultAsyncHttpxClient(
        base_url=base_url,
        timeout=None,
        event_hooks={"request": [refuse_other_host], "response": [limit]},
        headers={"Accept-Encoding": "identity"},
    )


def _limited(response: Any) -> Any:
    """The body of ``response``, as a stream that raises ReplyTooLarge beyond the limit."""
    # openai uses either httpx or httpx2, and their classes are not interchangeable.
    http: Any = import_module(type(response).__module__.partition(".")[0])
    body = response.stream

    class Limited(http.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            read = 0
            async for chunk in body:
                read += len(chunk)
                if read > MAX_REPLY_BYTES:
                    raise ReplyTooLarge(f"the reply is larger than {MAX_REPLY_BYTES // 2**20} MiB")
                yield chunk

        async def aclose(self) -> None:
            await body.aclose()

    return Limited()
