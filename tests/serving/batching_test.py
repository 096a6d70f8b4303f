"""Sentences of concurrent requests share batches, and get their own results."""

import asyncio

import pytest

from structkd_allennlp.common.requests import Request
from structkd_allennlp.serving.batching import Batcher, Overloaded
from structkd_allennlp.serving.input_files import InputError
from structkd_allennlp.serving.metrics import Metrics
from structkd_allennlp.serving.outcomes import Asked
from tests.serving.fake_tagger import FakeTagger

PLAIN = Asked()


def batched(job, delay=0.01, most_waiting=1000):
    """Runs `job(batcher, tagger)` with a running batcher."""
    tagger, metrics = FakeTagger(), Metrics()

    async def run():
        batcher = Batcher(tagger, metrics.of_model("fake"), delay, most_waiting)
        batcher.start()
        try:
            return await asyncio.wait_for(job(batcher, tagger), 30)
        finally:
            tagger.open.set()
            await asyncio.wait_for(batcher.close(), 30)

    return asyncio.run(run()), tagger, metrics


def requests(*texts, language=None):
    return [Request(text, language) for text in texts]


def test_concurrent_requests_share_a_batch():
    async def job(batcher, tagger):
        return await asyncio.gather(
            *(batcher.tag(requests(f"Ana {i}", "x", language=str(i)), PLAIN) for i in range(50))
        )

    answers, tagger, metrics = batched(job)
    assert tagger.calls == [100]
    for i, (first, second) in enumerate(answers):
        assert first["words"] == ["Ana", str(i)]
        assert first["language"] == second["language"] == str(i)
    value = metrics.registry.get_sample_value
    assert value("structkd_batch_sentences_sum", {"model": "fake"}) == 100
    assert value("structkd_batch_sentences_count", {"model": "fake"}) == 1
    assert value("structkd_tokens_total", {"model": "fake"}) == 150


async def busy_with(batcher, tagger):
    """A request whose sentence is in the model, until `tagger.open` is set."""
    tagger.open.clear()
    running = asyncio.ensure_future(batcher.tag(requests("a"), PLAIN))
    await asyncio.sleep(0)
    while batcher.waiting:
        await asyncio.sleep(0.001)
    return running


def test_what_arrives_while_the_model_runs_is_the_next_batch():
    async def job(batcher, tagger):
        first = await busy_with(batcher, tagger)
        rest = [asyncio.ensure_future(batcher.tag(requests("b"), PLAIN)) for _ in range(9)]
        await asyncio.sleep(0)
        tagger.open.set()
        return await asyncio.gather(first, *rest)

    answers, tagger, _ = batched(job, delay=0)
    assert len(answers) == 10
    assert tagger.calls == [1, 9]


def test_sentences_of_a_batch_are_asked_the_same():
    async def job(batcher, tagger):
        return await asyncio.gather(
            *(batcher.tag(requests("Ana"), Asked(k, bool(k % 2))) for k in (1, 2, 3, 1, 2))
        )

    answers, tagger, _ = batched(job)
    assert sorted(tagger.calls) == [1, 2, 2]
    for k, (answer,) in zip((1, 2, 3, 1, 2), answers, strict=True):
        assert len(answer["top_k"]) == k
        assert ("marginals" in answer) == bool(k % 2)


def test_batches_are_bounded():
    async def job(batcher, tagger):
        return await batcher.tag([Request(["a"] * 3000, None)] * 7, PLAIN)

    (answer), tagger, _ = batched(job)
    assert len(answer) == 7
    assert tagger.calls == [2, 2, 2, 1]


def test_a_bad_sentence_is_the_error_of_its_request_alone():
    async def job(batcher, tagger):
        texts = [["Ana"], ["x", "!!!"], ["Rui"]]
        calls = (batcher.tag(requests(*text), PLAIN) for text in texts)
        return await asyncio.gather(*calls, return_exceptions=True)

    (first, bad, last), _, _ = batched(job)
    assert (first[0]["words"], last[0]["words"]) == (["Ana"], ["Rui"])
    assert isinstance(bad, InputError)
    assert str(bad) == "!!! cannot be tagged"


def test_a_tagger_that_fails_by_surprise():
    async def job(batcher, tagger):
        tagger.tag_requests = None
        with pytest.raises(InputError, match="it cannot be tagged \\(TypeError"):
            await batcher.tag(requests("Ana"), PLAIN)
        del tagger.tag_requests
        return await batcher.tag(requests("Ana"), PLAIN)

    (answer,), _, _ = batched(job)
    assert answer["words"] == ["Ana"]


def test_overload():
    async def job(batcher, tagger):
        running = await busy_with(batcher, tagger)
        # More than may wait, but nothing does.
        waits = asyncio.ensure_future(batcher.tag(requests(*"bcdefg"), PLAIN))
        await asyncio.sleep(0.001)
        with pytest.raises(Overloaded):
            await batcher.tag(requests("h"), PLAIN)
        tagger.open.set()
        return await asyncio.gather(running, waits)

    (first, second), _, metrics = batched(job, delay=0, most_waiting=5)
    assert (len(first), len(second)) == (1, 6)
    sample = metrics.registry.get_sample_value(
        "structkd_rejected_requests_total", {"model": "fake"}
    )
    assert sample == 1


def test_what_nobody_waits_for_is_not_tagged():
    async def job(batcher, tagger):
        gone = asyncio.ensure_future(batcher.tag(requests("gone"), PLAIN))
        await asyncio.sleep(0)
        gone.cancel()
        return await batcher.tag(requests("Ana"), PLAIN)

    _, tagger, _ = batched(job)
    assert tagger.calls == [1]


def test_closing_finishes_what_waits():
    async def job(batcher, tagger):
        calls = [asyncio.ensure_future(batcher.tag(requests("Ana"), PLAIN)) for _ in range(3)]
        await asyncio.sleep(0)
        await batcher.close()
        with pytest.raises(Overloaded):
            await batcher.tag(requests("late"), PLAIN)
        return await asyncio.gather(*calls)

    answers, _, _ = batched(job, delay=10)
    assert len(answers) == 3
