"""The API, as its clients see it, friendly or not."""

import concurrent.futures
import itertools
import json
import re

import pytest
from starlette.testclient import TestClient

from structkd_allennlp.common.requests import Request
from structkd_allennlp.serving.server import Limits, create_app
from tests.serving.fake_tagger import FakeTagger


@pytest.fixture(scope="module")
def client():
    taggers = {"teacher": FakeTagger("teacher"), "student": FakeTagger("student")}
    with TestClient(create_app(taggers, Limits(delay=0.001))) as client:
        yield client


def error_of(response):
    assert set(response.json()) == {"error"}
    return response.json()["error"]


def test_tags(client):
    sentences = ["Ana Silva lives in Porto.", ["Rui", "sings"]]
    request = {"sentences": sentences, "language": ["en", None], "top_k": 2, "marginals": True}
    response = client.post("/api/tag", json=request)
    assert response.status_code == 200
    requests = [Request(sentences[0], "en"), Request(sentences[1], None)]
    expected = FakeTagger().tag_requests(requests, 2, True)
    assert response.json() == {"model": "teacher", "results": expected}
    # The description promises no other fields, and all that are there.
    names = client.get("/openapi.json").json()["components"]["schemas"]["Result"]["properties"]
    assert set(names) == set(expected[0])


def test_models(client):
    models = client.get("/api/models").json()
    assert [model["name"] for model in models] == ["teacher", "student"]
    assert models[1]["info"]["languages"] == ["en", "pt"]
    assert models[1]["card"].startswith("# student")
    answer = client.post("/api/tag", json={"sentences": ["x"], "model": "student"})
    assert answer.json()["model"] == "student"
    missing = client.post("/api/tag", json={"sentences": ["x"], "model": "nobody"})
    assert missing.status_code == 404
    assert error_of(missing) == "there is no model 'nobody', but teacher, student"


def test_openapi(client):
    description = client.get("/openapi.json").json()
    assert description["openapi"].startswith("3.")
    assert set(description["paths"]) == {"/api/models", "/api/tag", "/health", "/metrics"}
    responses = description["paths"]["/api/tag"]["post"]["responses"]
    assert {"200", "400", "404", "408", "413", "415", "422", "503"} <= set(responses)


BAD = [
    ({}, 422, "sentences: Field required"),
    ({"sentences": []}, 422, "sentences: List should have at least 1 item"),
    ({"sentences": "Ana"}, 422, "sentences: Input should be a valid list"),
    ({"sentences": [7]}, 422, "sentences.0"),
    ({"sentences": [None]}, 422, "sentences.0"),
    ({"sentences": [["a", ""]]}, 422, "sentence 1: \"words\" must be a list of non-empty"),
    ({"sentences": ["x"], "top_k": 0}, 422, "top_k: Input should be greater than or equal to 1"),
    ({"sentences": ["x"], "top_k": 101}, 422, "top_k: Input should be less than or equal to 100"),
    ({"sentences": ["x"], "top_k": "many"}, 422, "top_k"),
    ({"sentences": ["x"], "marginals": "perhaps"}, 422, "marginals"),
    ({"sentences": ["x"], "language": 7}, 422, "language"),
    ({"sentences": ["x"], "language": "x" * 101}, 422, 'sentence 1: "language" must'),
    ({"sentences": ["x"], "language": ["en", "pt"]}, 422, "2 languages do not fit 1 sentences"),
    ({"sentences": ["x"], "unknown": 1}, 422, "unknown: Extra inputs are not permitted"),
    ({"sentences": ["x"] * 1001}, 422, "1,001 sentences are more than the 1,000"),
    ({"sentences": ["a", "x" * 10_001]}, 422, "sentence 2 has 10,001 characters, more than"),
    ({"sentences": [["x" * 5001] * 2]}, 422, "sentence 1 has 10,002 characters"),
    ({"sentences": ["x" * 9000] * 5, "top_k": 100}, 422, "the answer would be too large"),
    ({"sentences": ["x" * 9000] * 100, "marginals": True}, 422, "the answer would be too large"),
    ({"sentences": ["Ana", "!!!"]}, 422, "!!! cannot be tagged"),
    ([], 422, "Input should be a valid dictionary"),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "status", "reason"), BAD, ids=range(len(BAD)))
def test_requests_that_ask_for_what_cannot_be(client, request_, status, reason):
    response = client.post("/api/tag", json=request_)
    assert response.status_code == status
    assert reason in error_of(response)
    assert len(response.content) < 1000


BODIES = [
    (b"", 422), (b"{", 400), (b"\xff\xfe\x00", 400), (b'{"sentences": ["\xff"]}', 400),
    (b"[" * 100_000, 400), (b'{"a":' * 100_000, 400), (bytes(range(256)) * 100, 400),
    (b"1" * 100_000, 400), (b"NaN", 422), (b'"' + b"x" * 100_000 + b'"', 422),
    (b'{"sentences": ["\\ud800"]}', 422), (b'{"sentences": [["a", "\\udfff"]]}', 422),
    (b'{"sentences": ["x"], "language": "\\ud800"}', 422),
    (b'{"sentences": ["x"], "model": "\\ud800"}', 404), (b'{"\\ud800": 1}', 422),
    (b'{"sentences": ["x"], "top_k": ' + b"9" * 5000 + b"}", 400),
    (b'{"sentences": ["x"], "top_k": 1e400}', 422),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status"), BODIES, ids=range(len(BODIES)))
def test_bodies_of_all_kinds(client, body, status):
    headers = {"Content-Type": "application/json"}
    response = client.post("/api/tag", content=body, headers=headers)
    assert response.status_code in ({status, 404, 422} if status == 404 else {status})
    assert 0 < len(error_of(response)) < 1000


def test_what_is_not_said_to_be_json(client):
    for kind in ("text/plain", "application/x-www-form-urlencoded", None):
        headers = {"Content-Type": kind} if kind else {}
        response = client.post("/api/tag", content=b'{"sentences": ["x"]}', headers=headers)
        assert response.status_code == 415
        assert "application/json" in error_of(response)


def test_a_body_that_is_too_large(client):
    """Whether it says so, or just goes on."""

    def endless():
        for _ in range(100):
            yield b"x" * 100_000

    for content in (b"x" * 1_000_001, endless()):
        response = client.post(
            "/api/tag", content=content, headers={"Content-Type": "application/json"}
        )
        assert response.status_code == 413
        assert response.headers["connection"] == "close"
        error_of(response)
    assert client.post("/api/tag", json={"sentences": ["x" * 9000] * 100}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/tag", 405),
        ("POST", "/health", 405),
        ("GET", "/nothing", 404),
        ("GET", "/%2e%2e/server.py", 404),
        ("GET", "/..%2fserver.py", 404),
        ("GET", "/page.js/x", 404),
        ("DELETE", "/page.js", 405),
    ],
)
def test_other_paths_and_methods(client, method, path, status):
    response = client.request(method, path)
    assert response.status_code == status
    error_of(response)


def test_the_page_loads_nothing_from_elsewhere(client):
    page = client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for path, kind in (("page.css", "text/css"), ("page.js", "text/javascript")):
        assert path in page.text
        response = client.get(f"/{path}")
        assert response.headers["content-type"].startswith(kind)
        assert response.headers["x-content-type-options"] == "nosniff"
        assert not re.search(
            r"https?://|innerHTML|insertAdjacentHTML|document\.write", response.text
        )
    assert not re.search(r"https?://|<script(?! src=\"page.js\")|style=|\son\w+=", page.text)


def test_health_and_metrics(client):
    assert client.get("/health").json() == {"status": "ok"}
    before = client.get("/metrics")
    assert before.headers["content-type"].startswith("text/plain")
    client.post("/api/tag", json={"sentences": ["Ana sings"] * 3})
    client.post("/api/tag", json={})
    client.get("/one/of/many/paths")
    after = client.get("/metrics").text

    def grown(name):
        def value(text):
            found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
            return float(found[1]) if found else 0.0

        return value(after) - value(before.text)

    assert grown('structkd_requests_total{path="/api/tag",status="200"}') == 1
    assert grown('structkd_requests_total{path="/api/tag",status="422"}') == 1
    assert grown('structkd_requests_total{path="other",status="404"}') == 1
    assert grown('structkd_request_seconds_count{path="/api/tag"}') == 2
    assert grown('structkd_tokens_total{model="teacher"}') == 6
    assert grown('structkd_batch_sentences_sum{model="teacher"}') == 3
    assert "process_resident_memory_bytes" in after
    assert "many" not in after


def test_concurrent_clients_share_batches():
    tagger = FakeTagger(seconds=0.01)
    with TestClient(create_app({"fake": tagger}, Limits(delay=0.02))) as client:

        def ask(i):
            words = ["x"] * (i + 1)
            answer = client.post("/api/tag", json={"sentences": [words], "top_k": 1 + i % 2})
            assert answer.status_code == 200
            return answer.json()["results"][0]["words"] == words

        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            assert all(pool.map(ask, range(128)))
    assert sum(tagger.calls) == 128
    assert len(tagger.calls) < 64


def test_overload():
    """Those for whom there is no room are told at once, and the others are served."""
    tagger = FakeTagger()
    tagger.open.clear()
    limits = Limits(delay=0, waiting=4)
    with TestClient(create_app({"fake": tagger}, limits)) as client:
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            calls = [
                pool.submit(client.post, "/api/tag", json={"sentences": ["x"]}) for _ in range(32)
            ]
            # At most four are in the model, and four wait.
            first = itertools.islice(concurrent.futures.as_completed(calls), 20)
            rejected = [call.result() for call in first]
            tagger.open.set()
            served = [call.result().status_code for call in calls]
        assert {answer.status_code for answer in rejected} == {503}
        assert rejected[0].headers["retry-after"] == "1"
        assert "too many sentences wait" in error_of(rejected[0])
        assert served.count(200) >= 5
        assert set(served) == {200, 503}


def test_results_are_json():
    """A tagger that says NaN is an error of the server, and no broken JSON."""
    tagger = FakeTagger()
    result = {"words": [], "tag_probabilities": [float("nan")]}
    tagger.tag_requests = lambda *args: [result]
    app = create_app({"fake": tagger})
    with TestClient(app, raise_server_exceptions=False) as client:
        response = client.post("/api/tag", json={"sentences": ["x"]})
        assert response.status_code == 500
        assert client.get("/health").status_code == 200
        assert 'path="/api/tag",status="500"' in client.get("/metrics").text


def test_unicode_survives(client):
    text = "👩\u200d🔬 नमस्ते يعيش \u0000 é"
    response = client.post(
        "/api/tag",
        content=json.dumps({"sentences": [[text]]}),
        headers={"Content-Type": "application/json; charset=utf-8"},
    )
    assert response.json()["results"][0]["words"] == [text]
