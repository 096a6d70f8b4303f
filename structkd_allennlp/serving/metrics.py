"""What a server counts, for Prometheus."""

from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_SENTENCES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class ModelMetrics(NamedTuple):
    """Of one model."""

    waiting: Gauge
    rejected: Counter
    batch_sentences: Histogram
    seconds: Histogram
    tokens: Counter


class Metrics:
    """Has a registry of its own, so that there can be several servers in a process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        # Its memory and its time on processors.
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "structkd_requests", "Requests answered.", ["path", "status"], registry=self.registry
        )
        self.request_seconds = Histogram(
            "structkd_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ["path"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._of_models = ModelMetrics(
            waiting=Gauge(
                "structkd_waiting_sentences", "In the queue.", ["model"], registry=self.registry
            ),
            rejected=Counter(
                "structkd_rejected_requests",
                "Answered 503, since the queue was full.",
                ["model"],
                registry=self.registry,
            ),
            batch_sentences=Histogram(
                "structkd_batch_sentences",
                "Sentences that passed through the model together.",
                ["model"],
                buckets=_SENTENCES,
                registry=self.registry,
            ),
            seconds=Histogram(
                "structkd_batch_seconds",
                "Time of a batch in the tagger.",
                ["model"],
                buckets=_SECONDS,
                registry=self.registry,
            ),
            tokens=Counter("structkd_tokens", "Tagged.", ["model"], registry=self.registry),
        )

    def of_model(self, name: str) -> ModelMetrics:
        of_all = self._of_models
        return ModelMetrics(
            waiting=of_all.waiting.labels(name),
            rejected=of_all.rejected.labels(name),
            batch_sentences=of_all.batch_sentences.labels(name),
            seconds=of_all.seconds.labels(name),
            tokens=of_all.tokens.labels(name),
        )
