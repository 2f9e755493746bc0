"""``POST /extract`` and its limits, over a model that is a function."""

import asyncio
import json
import socket
from dataclasses import replace

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from actors.options import Options
from actors.question import Limits
from actors.server import BodyLimit, Service, routes
from rnr.task.extraction import Entity, Extraction
from scripts.serve import _listen, main

LIMITS = Limits(sentences=3, characters=40, labels=2, samples=4, waiting=3)


class _Model:
    options = Options(decoding="marks")
    label_calibration = 0.6

    def __init__(self) -> None:
        self.asked: list[Options] = []
        self.given_up = 0
        self.free = asyncio.Event()

    async def extract(self, text: str, labels, options: Options) -> Extraction:
        self.asked.append(options)
        if text == "slow":
            try:
                await self.free.wait()
            except asyncio.CancelledError:
                self.given_up += 1
                raise
        if "" in labels:
            raise ValueError("a label must not be blank")
        entity = Entity(text=text[:3], label=next(iter(labels)), start=0, end=3, confidence=None, alignment="marked")
        return Extraction(sentence=text, entities=(entity,), reasoning="[Ada: person]")


def _client(model: _Model, api_key: str = "", **limits: int) -> httpx.AsyncClient:
    app = FastAPI()
    app.include_router(routes(Service(model, "mine", replace(LIMITS, **limits)), api_key=api_key))
    app.add_middleware(BodyLimit, most=400)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://here")


def _post(body: object, *, model: _Model | None = None, api_key: str = "", **options) -> httpx.Response:
    async def post() -> httpx.Response:
        async with _client(model or _Model(), api_key) as client:
            return await client.post("/extract", json=body, **options)

    return asyncio.run(post())


def test_sentences_come_back_in_order_with_their_entities() -> None:
    model = _Model()
    body = {"sentences": ["Ada ran", "Bob sat"], "labels": {"person": "a human"}, "samples": 2, "threshold": 0.5}
    answer = _post(body, model=model).json()
    assert answer["model"] == "mine"
    assert [row["entities"][0]["text"] for row in answer["results"]] == ["Ada", "Bob"]
    assert answer["results"][0]["entities"][0]["confidence"] is None
    assert {(asked.samples, asked.threshold, asked.decoding) for asked in model.asked} == {(2, 0.5, "marks")}


def test_half_of_a_surrogate_pair_that_a_model_spells_is_answered_as_its_escape(monkeypatch) -> None:
    half = Entity(text="\ud83d", label="person", start=-1, end=-1, confidence=None, alignment="none")

    async def extract(*_) -> Extraction:
        return Extraction(sentence="Ada", entities=(), reasoning=None, left_out=(half,))

    monkeypatch.setattr(_Model, "extract", extract)
    answer = _post({"sentences": ["Ada"], "labels": ["person"], "decoding": "free"})
    assert answer.status_code == 200
    assert answer.json()["results"][0]["left_out"][0]["text"] == "\ud83d"


def test_what_is_too_much_or_wrong_is_refused_with_its_reason() -> None:
    for body, status, why in (
        ({"sentences": ["a"] * 4, "labels": ["x"]}, 413, "4 sentences, but this server accepts 3"),
        ({"sentences": ["a" * 41], "labels": ["x"]}, 413, "41 characters"),
        ({"sentences": ["a"], "labels": ["x", "y", "z"]}, 413, "3 labels"),
        ({"sentences": ["a"], "labels": ["x"], "samples": 5}, 413, "5 samples"),
        ({"sentences": ["a" * 500], "labels": ["x"]}, 413, "at most 400 bytes"),
        ({"sentences": ["a"], "labels": [""]}, 400, "must not be blank"),
        ({"sentences": ["a"], "labels": ["x"], "select": "vote"}, 400, "needs several samples"),
        ({"sentences": ["a"], "labels": ["x"], "threshold": 2}, 400, "from 0 to 1"),
        ({"sentences": ["a"], "labels": ["x"], "threshold": {"dog": 0.5}}, 400, "threshold for 'dog'"),
        ({"sentences": [], "labels": ["x"]}, 400, "sentences: must not be empty (got [])"),
        ({"sentences": ["a"]}, 400, "labels: is missing"),
        (
            {"sentences": ["a"], "labels": ["x"], "sampels": 3},
            400,
            "sampels: unknown field; known are",
        ),
        ({"sentences": ["a"], "labels": 3}, 400, "labels: must be a list or an object (got 3)"),
        ({"sentences": ["a"], "labels": ["x", 4]}, 400, "labels.1: must be text (got 4)"),
        ({"sentences": ["a"], "labels": ["x"], "window": 8}, 400, "window: unknown field"),
        ({"sentences": ["a"], "labels": ["x"], "samples": 0}, 400, "samples: must be at least 1"),
        ([1], 400, "the body: must be an object (got [1])"),
    ):
        answer = _post(body)
        assert answer.status_code == status, body
        assert why in answer.json()["error"], body


@pytest.mark.parametrize("given", [{"samples": True}, {"threshold": True}, {"threshold": {"x": False}}])
def test_true_is_no_number(given) -> None:
    answer = _post({"sentences": ["Ada"], "labels": ["x"], **given})
    assert answer.status_code == 400
    wanted = "must be a whole number" if "samples" in given else "must be a number"
    assert wanted in answer.json()["error"]


def test_a_request_that_could_never_wait_is_not_told_to_come_again() -> None:
    async def post(count: int) -> httpx.Response:
        async with _client(_Model(), waiting=2) as client:
            return await client.post("/extract", json={"sentences": ["a"] * count, "labels": ["x"]})

    answer = asyncio.run(post(3))
    assert (answer.status_code, answer.json()) == (
        413,
        {"error": "3 sentences, but this server accepts 2 per request"},
    )
    assert asyncio.run(post(2)).status_code == 200


def test_more_sentences_of_one_request_than_may_wait_are_refused_at_the_start(capsys) -> None:
    assert main(["m", "--max-sentences", "9", "--max-waiting", "8", "--port", "0"]) == 2
    assert "--max-sentences 9 is more than --max-waiting 8" in capsys.readouterr().err


def test_a_body_that_is_no_json_is_refused_with_its_reason() -> None:
    async def post(content: bytes, kind: str) -> tuple[int, str]:
        async with _client(_Model()) as client:
            answer = await client.post("/extract", content=content, headers={"content-type": kind})
        return answer.status_code, answer.json()["error"]

    assert asyncio.run(post(b'{"sentences": ["a', "application/json"))[0] == 400
    assert "Invalid JSON" in asyncio.run(post(b'{"sentences": ["a', "application/json; charset=utf-8"))[1]
    body = b'{"sentences": ["a"], "labels": ["x"]}'
    # Browsers send these to another origin without asking it first.
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert asyncio.run(post(body, kind)) == (
            415,
            "the body must be JSON: send the header content-type: application/json",
        )


def test_a_body_without_a_length_that_grows_too_large_is_refused() -> None:
    async def grown() -> httpx.Response:
        async def pieces():
            for _ in range(10):
                yield b" " * 100

        async with _client(_Model()) as client:
            return await client.post("/extract", content=pieces(), headers={"content-type": "application/json"})

    answer = asyncio.run(grown())
    assert (answer.status_code, answer.json()) == (413, {"error": "the body is larger than this server accepts"})


def test_a_temperature_of_one_sample_is_refused_in_words() -> None:
    body = {"sentences": ["Ada"], "labels": ["x"], "temperature": 0.5}
    answer = _post(body)
    said = "temperature applies to several samples, but a single answer is greedy: set samples=8, too"
    assert (answer.status_code, answer.json()) == (400, {"error": said})
    assert _post({**body, "samples": 2}).status_code == 200


def test_more_than_may_wait_is_refused_until_there_is_room() -> None:
    async def crowd() -> tuple[int, int]:
        model = _Model()
        async with _client(model) as client:
            slow = asyncio.create_task(client.post("/extract", json={"sentences": ["slow"] * 3, "labels": ["x"]}))
            while len(model.asked) < 3:
                await asyncio.sleep(0)
            refused = await client.post("/extract", json={"sentences": ["a"], "labels": ["x"]})
            model.free.set()
            await slow
            later = await client.post("/extract", json={"sentences": ["a"], "labels": ["x"]})
        return refused.status_code, later.status_code

    assert asyncio.run(crowd()) == (429, 200)


def test_the_sentences_of_a_client_that_has_gone_are_given_up() -> None:
    async def leave() -> tuple[int, int, int]:
        model = _Model()
        service = Service(model, "mine", LIMITS)
        app = FastAPI()
        app.include_router(routes(service))
        with socket.create_server(("127.0.0.1", 0)) as listening:
            server = uvicorn.Server(uvicorn.Config(BodyLimit(app, most=400), log_level="warning"))
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            _, client = await asyncio.open_connection(*listening.getsockname())
            body = json.dumps({"sentences": ["slow"] * 3, "labels": ["x"]}).encode()
            head = f"POST /extract HTTP/1.1\r\nHost: here\r\nContent-Length: {len(body)}\r\n"
            client.write(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)
            async with asyncio.timeout(20):
                while len(model.asked) < 3:
                    await asyncio.sleep(0.01)
                waiting = service.state()["waiting"]
                client.close()
                while service.state()["waiting"]:
                    await asyncio.sleep(0.01)
            server.should_exit = True
            await serving
        return waiting, service.state()["waiting"], model.given_up

    assert asyncio.run(leave()) == (3, 0, 3)


def test_a_request_that_a_stopping_server_does_not_wait_for_is_told_so(caplog) -> None:
    async def stop() -> tuple[str, int]:
        model = _Model()
        app = FastAPI()
        app.include_router(routes(Service(model, "mine", LIMITS)))
        with socket.create_server(("127.0.0.1", 0)) as listening:
            config = uvicorn.Config(BodyLimit(app, most=400), log_config=None, timeout_graceful_shutdown=1)
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            async with httpx.AsyncClient(timeout=20) as client:
                where = "http://{}:{}/extract".format(*listening.getsockname())
                asking = asyncio.create_task(client.post(where, json={"sentences": ["slow"], "labels": ["x"]}))
                async with asyncio.timeout(20):
                    while not model.asked:
                        await asyncio.sleep(0.01)
                server.should_exit = True
                answer = await asking
            await serving
        assert answer.status_code == 503
        return answer.json()["error"], model.given_up

    assert asyncio.run(stop()) == ("the server is stopping: ask again later", 1)
    assert "Traceback" not in caplog.text


def test_a_sentence_that_is_refused_ends_the_others_of_its_request(monkeypatch) -> None:
    model = _Model()
    answered = model.extract

    async def extract(text: str, labels, options: Options) -> Extraction:
        if text == "bad":
            raise ValueError("a bad sentence")
        return await answered(text, labels, options)

    monkeypatch.setattr(model, "extract", extract)
    assert _post({"sentences": ["slow", "bad", "slow"], "labels": ["x"]}, model=model).status_code == 400
    assert model.given_up == 2


def test_a_key_is_asked_for_where_there_is_one() -> None:
    body = {"sentences": ["Ada"], "labels": ["x"]}
    assert _post(body, api_key="secret").status_code == 401
    assert _post(body, api_key="secret", headers={"authorization": "Bearer secre"}).status_code == 401
    assert _post(body, api_key="secret", headers={"authorization": "Bearer secret"}).status_code == 200


def test_the_page_asks_this_server_alone_and_writes_no_markup_of_others() -> None:
    async def page() -> tuple[str, dict]:
        async with _client(_Model()) as client:
            return (await client.get("/")).text, (await client.get("/ready")).json()

    text, ready = asyncio.run(page())
    assert 'fetch("extract"' in text
    assert "http" not in text.replace("http-equiv", "")
    assert "innerHTML" not in text
    assert (ready["decoding"], ready["waiting"], ready["limits"]["labels"]) == ("marks", 0, 2)
    assert ready["label_calibration"] == 0.6


def test_an_address_that_is_taken_is_told_before_a_model_is_loaded(capsys) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["no-model", "--port", str(taken.getsockname()[1])]) == 2
    assert "cannot listen at 127.0.0.1:" in capsys.readouterr().err


def test_an_address_that_a_server_has_whose_model_is_still_loading_is_taken_too(capsys) -> None:
    with _listen("127.0.0.1", 0) as loading:
        assert main(["no-model", "--port", str(loading.getsockname()[1])]) == 2
    assert "cannot listen at 127.0.0.1:" in capsys.readouterr().err
