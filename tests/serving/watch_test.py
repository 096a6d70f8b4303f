"""Clients that are slow, break off or talk nonsense, on a real connection."""

import socket
import threading
import time

import httpx
import pytest

from structkd_allennlp.serving.server import Limits
from structkd_allennlp.serving.watch import WatchedProtocol
from tests.serving.fake_tagger import FakeTagger
from tests.serving.running import running

HEAD = b"POST /api/tag HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
BODY = b'{"sentences": ["Ana sings"]}'
REQUEST = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(WatchedProtocol, "idle_seconds", 0.3)
    tagger = FakeTagger()
    with running({"fake": tagger}, Limits(delay=0.001, body_seconds=0.3)) as url:
        yield url, tagger


def connected(url):
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    return connection


def received(connection):
    """All that comes until the server closes."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def served(url):
    return httpx.post(f"{url}/api/tag", json={"sentences": ["Ana"]}).status_code == 200


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        pytest.param(b"", b"", id="nothing"),
        pytest.param(b"POST /api/t", b"", id="half a line"),
        pytest.param(HEAD, b"", id="half the headers"),
        pytest.param(HEAD + b"Content-Length: 100\r\n\r\n{", b"HTTP/1.1 408", id="half a body"),
        pytest.param(REQUEST, b"HTTP/1.1 200", id="nothing more"),
        pytest.param(REQUEST + b"GET /he", b"HTTP/1.1 200", id="half a second request"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01" * 9, b"HTTP/1.1 400", id="TLS"),
        pytest.param(b"\x00" * 5000 + b"\r\n\r\n", b"HTTP/1.1 400", id="zeros"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 99999, b"HTTP/1.1 4", id="headers"),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffff\r\nx", b"HTTP/1.1 4", id="chunks"
        ),
        pytest.param(
            HEAD + b"Content-Length: 99999999\r\n\r\n" + b"x" * 1_100_000,
            b"HTTP/1.1 413",
            id="huge",
        ),
    ],
)
def test_whoever_brings_no_whole_request_is_not_waited_for(server, sent, answer):
    url, _ = server
    with connected(url) as connection:
        try:
            connection.sendall(sent)
            got = received(connection)
        except (ConnectionResetError, BrokenPipeError):
            # It was closed with something left unread.
            got = answer
        assert got[: len(answer)] == answer
        assert bool(got) == bool(answer)
    assert served(url)


def test_slow_clients_do_not_hold_up_others(server):
    url, _ = server
    slow = [connected(url) for _ in range(50)]
    for connection in slow:
        connection.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
    assert served(url)
    for connection in slow:
        connection.close()


def test_clients_that_break_off(server):
    """Before, and while, they are tagged for."""
    url, tagger = server
    tagger.open.clear()
    for _ in range(20):
        with connected(url) as connection:
            connection.sendall(REQUEST)
    tagger.open.set()
    assert served(url)
    metrics = httpx.get(f"{url}/metrics").text
    assert 'structkd_waiting_sentences{model="fake"} 0.0' in metrics


def test_shutting_down_finishes_what_was_asked(monkeypatch):
    tagger = FakeTagger()
    tagger.open.clear()
    answers = []
    with running({"fake": tagger}) as url:

        def ask():
            answers.append(httpx.post(f"{url}/api/tag", json={"sentences": ["Ana"]}, timeout=30))

        clients = [threading.Thread(target=ask) for _ in range(3)]
        for client in clients:
            client.start()
        while 'structkd_waiting_sentences{model="fake"} 0.0' in httpx.get(f"{url}/metrics").text:
            if tagger.waits:
                break
            time.sleep(0.01)
        threading.Timer(0.3, tagger.open.set).start()
    for client in clients:
        client.join()
    assert [answer.status_code for answer in answers] == [200] * 3
