"""An HTTP server: a JSON API, a page, and what watches over them needs."""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path
from typing import (
    Any,
    AsyncIterator,
    Awaitable,
    Callable,
    Dict,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Union,
)

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from structkd_allennlp import __version__
from structkd_allennlp.common.requests import Request as Sentence
from structkd_allennlp.common.requests import RequestError
from structkd_allennlp.common.text import quoted
from structkd_allennlp.serving.batching import Batcher, Overloaded
from structkd_allennlp.serving.input_files import InputError
from structkd_allennlp.serving.metrics import Metrics
from structkd_allennlp.serving.outcomes import Asked
from structkd_allennlp.serving.tagger import Tagger
from structkd_allennlp.serving.watch import Watch

_PAGE = Path(__file__).with_name("page")
_FILES = {"/": "index.html", "/page.css": "page.css", "/page.js": "page.js"}
_PATHS = [*_FILES, "/api/models", "/api/tag", "/health", "/metrics", "/openapi.json"]


class Limits(NamedTuple):
    """
    # Parameters

    body : `int`
        Of a request, in bytes.
    sentences : `int`
        In a request.
    characters : `int`
        In a sentence.
    waiting : `int`
        Sentences, before the server says that it is overloaded.
    delay : `float`
        How long a sentence waits for others that it can pass through the model with, in seconds.
    body_seconds : `float`
        How long a request may take to arrive.
    """

    body: int = 1_000_000
    sentences: int = 1000
    characters: int = 10_000
    waiting: int = 4000
    delay: float = 0.002
    body_seconds: float = 10.0


DEFAULT_LIMITS = Limits()

MOST_NUMBERS = 4_000_000
"""
In an answer: characters of the sentences, times sequences and labels asked for. There are a few
times fewer tokens than characters.
"""

MOST_SEQUENCES = 100


class TagRequest(BaseModel):
    """What to tag, and what to say of it."""

    model_config = ConfigDict(extra="forbid")

    sentences: List[Union[str, List[str]]] = Field(
        min_length=1,
        description="Each a string, which is split into words by the rules of its language, or a "
        "list of words.",
        examples=[["Ana Silva lives in Porto.", ["Berlin", "is", "large"]]],
    )
    language: Optional[Union[str, List[Optional[str]]]] = Field(
        None, description='Such as "en"; of all sentences, or a list with one for each.'
    )
    model: Optional[str] = Field(None, description="By default the first of those that are served.")
    top_k: int = Field(1, ge=1, le=MOST_SEQUENCES, description="How many tag sequences to list.")
    marginals: bool = Field(False, description="Whether to list the probability of every label.")


class Sequence(BaseModel):
    tags: List[str]
    score: float = Field(description="Unnormalised.")
    probability: float


class Entity(BaseModel):
    text: str
    label: str
    start: int = Field(description="The first token.")
    end: int = Field(description="The token after the last.")
    start_char: Optional[int] = Field(None, description="Only of sentences that came as a string.")
    end_char: Optional[int] = None
    probability: float = Field(description="That exactly this entity is there.")


class Result(BaseModel):
    words: List[str]
    language: Optional[str]
    tags: List[str]
    tag_probabilities: List[float]
    entities: List[Entity]
    top_k: List[Sequence]
    marginals: Optional[List[Dict[str, float]]] = Field(None, description="Only if asked for.")


class TagResponse(BaseModel):
    model: str
    results: List[Result] = Field(description="One for each sentence, in their order.")


class Model(BaseModel):
    name: str
    card: str = Field(description="Markdown.")
    info: Dict[str, Any] = Field(description="Languages, labels, sizes, scores.")


class Error(BaseModel):
    error: str


def create_app(taggers: Mapping[str, Tagger], limits: Limits = DEFAULT_LIMITS) -> FastAPI:
    """
    # Parameters

    taggers : `Mapping[str, Tagger]`
        By the names that requests and the page know them by, the default one first.
    limits : `Limits`, optional (default = `DEFAULT_LIMITS`)
    """
    metrics = Metrics()
    batchers = {
        name: Batcher(tagger, metrics.of_model(name), limits.delay, limits.waiting)
        for name, tagger in taggers.items()
    }

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        for batcher in batchers.values():
            batcher.start()
        yield
        await asyncio.gather(*(batcher.close() for batcher in batchers.values()))

    app = FastAPI(
        title="structkd",
        description="Tags sentences, with probabilities.",
        version=__version__,
        lifespan=lifespan,
        # Their pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},
        responses={
            status: {"model": Error, "description": description}
            for status, description in (
                (400, "The body is no JSON."),
                (404, "There is no such model."),
                (408, "The body takes too long to arrive."),
                (413, "The body is too large."),
                (415, "The body is not said to be JSON."),
                (422, "The request asks for what cannot be, and why."),
                (503, "Too many sentences wait. Try again."),
            )
        },
    )
    app.add_middleware(
        Watch,
        metrics=metrics,
        paths=_PATHS,
        body=limits.body,
        body_seconds=limits.body_seconds,
    )
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(InputError, _on_input_error)

    @app.get("/api/models", response_model=List[Model])
    async def models() -> Response:
        """What is served, with the card of each model."""
        return _json([{"name": n, "card": t.card, "info": t.info} for n, t in taggers.items()])

    @app.post("/api/tag", response_model=TagResponse)
    async def tag(asked: TagRequest) -> Response:
        """Tags sentences."""
        name = next(iter(batchers)) if asked.model is None else asked.model
        if name not in batchers:
            raise HTTPException(404, f"there is no model {quoted(name)}, but {', '.join(batchers)}")
        sentences = _sentences(asked, limits)
        _check_answer(asked, sentences, taggers[name])
        try:
            results = await batchers[name].tag(sentences, Asked(asked.top_k, asked.marginals))
        except Overloaded:
            raise HTTPException(
                503, "too many sentences wait to be tagged. Try again", {"Retry-After": "1"}
            ) from None
        return _json({"model": name, "results": results})

    @app.get("/health")
    async def health() -> Dict[str, str]:
        """Answers as long as the server does."""
        return {"status": "ok"}

    @app.get("/metrics", response_class=Response)
    async def metrics_text() -> Response:
        """For Prometheus."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    for path, name in _FILES.items():
        app.add_api_route(path, _file(name), methods=["GET", "HEAD"], include_in_schema=False)
    return app


def _file(name: str) -> Callable[[], Awaitable[Response]]:
    async def file() -> Response:
        # A browser is to ask again, since the next version may have another one.
        return FileResponse(_PAGE / name, headers={"Cache-Control": "no-cache"})

    return file


def _sentences(asked: TagRequest, limits: Limits) -> List[Sentence]:
    """Raises `InputError` for what is more than there may be, and for what is no text."""
    count = len(asked.sentences)
    if count > limits.sentences:
        raise InputError(f"{count:,} sentences are more than the {limits.sentences:,} of a request")
    languages = asked.language if isinstance(asked.language, list) else [asked.language] * count
    if len(languages) != count:
        raise InputError(f"{len(languages):,} languages do not fit {count:,} sentences")
    result = []
    for i, (value, language) in enumerate(zip(asked.sentences, languages, strict=True), start=1):
        try:
            sentence = Sentence.of(value, language)
        except RequestError as error:
            raise InputError(f"sentence {i}: {error!s}") from error
        characters = _characters(sentence)
        if characters > limits.characters:
            raise InputError(
                f"sentence {i} has {characters:,} characters, more than the "
                f"{limits.characters:,} that one may have. Split it"
            )
        result.append(sentence)
    return result


def _check_answer(asked: TagRequest, sentences: List[Sentence], tagger: Tagger) -> None:
    labels = len(tagger.info["labels"]) if asked.marginals else 0
    numbers = sum(map(_characters, sentences)) * (asked.top_k + labels)
    if numbers > MOST_NUMBERS:
        raise InputError(
            "the answer would be too large. Ask for fewer sequences, for no marginals, or in "
            "several requests"
        )


def _characters(sentence: Sentence) -> int:
    text = sentence.sentence
    return len(text) if isinstance(text, str) else sum(map(len, text))


def _json(value: Any, status: int = 200, headers: Optional[Mapping[str, str]] = None) -> Response:
    # Not all that FastAPI does with the value of a response model, which takes longer than tagging.
    content = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    return Response(content, status, headers, media_type="application/json")


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code in (408, 413):
        # There may be more of the request to come, which nobody reads.
        headers["Connection"] = "close"
    return _json({"error": str(error.detail)}, error.status_code, headers)


async def _on_input_error(request: Request, error: Exception) -> Response:
    return _json({"error": str(error)}, 422)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        return _json({"error": "send JSON, and say so: Content-Type: application/json"}, 415)
    # Without what was sent, which may be anything.
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:])
    if first["type"] == "json_invalid":
        return _json({"error": f"the body is no JSON: {first['ctx']['error']} at {place}"}, 400)
    return _json({"error": quoted(f"{place}: {first['msg']}", 300)[1:-1]}, 422)
