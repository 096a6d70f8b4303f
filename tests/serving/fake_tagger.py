"""A tagger of a few rules, with the interface of `structkd_allennlp.serving.tagger.Tagger`."""

import re
import threading
import time
from pathlib import Path

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


class FakeTagger:
    """Words with a capital letter are persons, after "in" places. "!!!" cannot be tagged."""

    def __init__(self, name="fake", seconds=0.0):
        self.name = name
        self.card = (
            f"# {name}\n\nTags persons and places.\n\n| language | F1 |\n|---|---|\n| en | 0.9 |\n"
        )
        self.info = {
            "languages": ["en", "pt"],
            "labels": LABELS,
            "label_encoding": "BIO",
            "parameters": 5,
            "size": 1234,
            "metrics": {"f1-measure/en": 0.9},
        }
        self.calls = []
        self.waits = False
        self.open = threading.Event()
        self.open.set()
        self.seconds = seconds

    @classmethod
    def load(cls, path, threads=None):
        if not Path(path).exists():
            raise ValueError(f"{path}: there is no model")
        return cls(Path(path).name)

    def warm_up(self):
        pass

    def tag_requests(self, requests, top_k=1, marginals=False):
        self.waits = not self.open.is_set()
        self.open.wait()
        time.sleep(self.seconds)
        self.calls.append(len(requests))
        return [
            self._tagged(request.sentence, request.language, top_k, marginals)
            for request in requests
        ]

    def _tagged(self, sentence, language, top_k, marginals):
        spans = None
        words = sentence
        if isinstance(sentence, str):
            found = list(re.finditer(r"\w+|[^\w\s]", sentence))
            words, spans = [m[0] for m in found], [m.span() for m in found]
        if "!!!" in words or "!!!" in sentence:
            raise ValueError("!!! cannot be tagged")
        tags, kind = [], None
        for i, word in enumerate(words):
            if not word[:1].isupper():
                kind = None
                tags.append("O")
            elif kind:
                tags.append(f"I-{kind}")
            else:
                kind = "LOC" if i and words[i - 1] == "in" else "PER"
                tags.append(f"B-{kind}")
        probabilities = [
            0.99 if tag == "O" else 0.35 + (len(word) % 7) / 10
            for word, tag in zip(words, tags, strict=True)
        ]
        entities = []
        for i, tag in enumerate(tags):
            if tag[0] == "B":
                end = i + 1
                while end < len(tags) and tags[end][0] == "I":
                    end += 1
                entity = {
                    "text": " ".join(words[i:end]),
                    "label": tag[2:],
                    "start": i,
                    "end": end,
                    "probability": probabilities[i],
                }
                if spans:
                    start_char, end_char = spans[i][0], spans[end - 1][1]
                    entity.update(
                        text=sentence[start_char:end_char], start_char=start_char, end_char=end_char
                    )
                entities.append(entity)
        result = {
            "words": list(words),
            "language": language,
            "tags": tags,
            "tag_probabilities": probabilities,
            "entities": entities,
            "top_k": [
                {
                    "tags": tags if not rank else ["O"] * len(tags),
                    "score": 9.0 - rank,
                    "probability": 0.5 / (rank + 1),
                }
                for rank in range(top_k)
            ]
            if words
            else [],
        }
        if marginals:
            result["marginals"] = [
                {label: p if label == tag else (1 - p) / (len(LABELS) - 1) for label in LABELS}
                for tag, p in zip(tags, probabilities, strict=True)
            ]
        return result
