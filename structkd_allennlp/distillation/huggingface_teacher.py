"""A token classifier of Hugging Face as a teacher."""

import hashlib
import json
import logging
import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy
import torch
from allennlp.common.checks import ConfigurationError
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForTokenClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.utils import CONFIG_NAME, cached_file
from transformers.utils.hub import extract_commit_hash

from structkd_allennlp.common.batching import by_length
from structkd_allennlp.common.files import digest_of
from structkd_allennlp.common.text import quoted
from structkd_allennlp.common.transformer_config import max_length
from structkd_allennlp.data.sentences import Sentence
from structkd_allennlp.distillation.sub_words import Place, places
from structkd_allennlp.distillation.target_store import Head
from structkd_allennlp.distillation.teacher import TeacherSource
from structkd_allennlp.distillation.teacher_quality import check_finite
from structkd_allennlp.distillation.teacher_scheme import stated_scheme
from structkd_allennlp.modules.crf_file import CRF_FILE, StoredCrf, read_crf
from structkd_allennlp.modules.tagger_chain import Potentials

logger = logging.getLogger(__name__)

# Of a batch, padding included.
_SUB_WORDS_A_BATCH = 4096
# Where neither model nor tokenizer has a limit.
_USUAL_LENGTH = 512
# What `transformers` calls labels that nobody has named.
_PLACEHOLDER = re.compile(r"LABEL_\d+")


class _Parts(NamedTuple):
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    crf: StoredCrf
    max_length: int


@TeacherSource.register("hugging_face")
class HuggingFaceSource(TeacherSource):
    """
    A token classifier of Hugging Face: what `AutoModelForTokenClassification` loads, with the names
    of its labels in `id2label`. It is a softmax over the labels of each word; one that
    `allennlp export-transformer` has written brings its CRF along.

    A word has the scores of its first sub-word. A sentence that is too long for the model is read
    in windows that overlap by half, and a word has its scores from the window with most context on
    both sides. A word without sub-words, such as a zero-width space, has the same score for every
    label. No code from the Hugging Face Hub is ever run.

    Registered as a `TeacherSource` with name "hugging_face".

    # Parameters

    model : `str`
        A directory, or a name on the Hugging Face Hub. What is downloaded is kept in its cache.
    label_encoding : `str`, optional
        `"BIO"` or `"IOB1"`, where its labels may be either.
    max_length : `int`, optional
        Of a window, in sub-words with special tokens; by default the longest that the model takes.

    # Raises

    `ConfigurationError`, when it is used, for a model that is missing, cannot be loaded, is no
    token classifier, or has labels without names.
    """

    def __init__(
        self, model: str, label_encoding: Optional[str] = None, max_length: Optional[int] = None
    ) -> None:
        super().__init__(model)
        self._label_encoding = label_encoding
        self._max_length = max_length
        self._location: Optional[Tuple[Path, Optional[str]]] = None
        self._parts: Optional[_Parts] = None
        self._warned = False

    def check(self, language: Optional[str] = None) -> None:
        whose = f" of language {language!r}" if language else ""
        if os.path.isfile(self.name):
            raise ConfigurationError(
                f"the teacher{whose} {self.name} is a file: name the directory of a Hugging Face "
                'model, or, for an AllenNLP archive, write its path without "type"'
            )
        self._located(whose)
        if os.path.isdir(self.name):
            _weights(Path(self.name))

    def digest(self) -> str:
        config, revision = self._located()
        content = f"{self.name}@{revision}"
        if revision is None:
            content = _digest_of_directory(config.parent)
        own = json.dumps([content, self._label_encoding, self._max_length])
        return hashlib.sha256(own.encode()).hexdigest()

    def head(self) -> Head:
        crf = self.loaded().crf
        return Head(crf.labels, crf.label_encoding, crf.potentials)

    @torch.no_grad()
    def emissions(self, sentences: Sequence[Sentence], device: torch.device) -> List[numpy.ndarray]:
        model, tokenizer, crf, max_length = self.loaded()
        model.to(device)
        encoded = tokenizer(
            [list(words) for words, _ in sentences],
            is_split_into_words=True,
            truncation=True,
            max_length=max_length,
            stride=(max_length - tokenizer.num_special_tokens_to_add()) // 2,
            return_overflowing_tokens=True,
        )
        windows: List[List[int]] = [[] for _ in sentences]
        for window, number in enumerate(encoded["overflow_to_sample_mapping"]):
            windows[number].append(window)
        # Of each window, where in it the scores of which words are.
        wanted: List[List[Tuple[int, int, Place]]] = [[] for _ in encoded.encodings]
        scores, unread = [], []
        for number, (words, _) in enumerate(sentences):
            scores.append(numpy.zeros((len(words), len(crf.labels)), numpy.float32))
            word_ids = [encoded.word_ids(window) for window in windows[number]]
            for word, place in enumerate(places(word_ids, len(words))):
                if place is None:
                    unread.append(words[word])
                else:
                    wanted[windows[number][place.window]].append((number, word, place))
        self._warn_of_unread(unread)
        names = [name for name in tokenizer.model_input_names if name in encoded]
        ids = encoded["input_ids"]
        read = [window for window, own in enumerate(wanted) if own]
        for batch in by_length(read, lambda window: len(ids[window]), _SUB_WORDS_A_BATCH):
            inputs = {
                name: _padded([encoded[name][window] for window in batch], name, tokenizer)
                for name in names
            }
            # (batch, sub-words, labels)
            logits = model(**{name: x.to(device) for name, x in inputs.items()}).logits
            by_window = logits.float().cpu().numpy()
            for window, of_window in zip(batch, by_window, strict=True):
                for number, word, place in wanted[window]:
                    end = place.end if crf.sub_token_mode == "avg" else place.start + 1
                    scores[number][word] = of_window[place.start : end].mean(0)
        return scores

    def release(self) -> None:
        self._parts = None

    def at(self, path: str) -> "HuggingFaceSource":
        other = super().at(path)
        assert isinstance(other, HuggingFaceSource)
        other._location = None
        return other

    def _located(self, whose: str = "") -> Tuple[Path, Optional[str]]:
        """Its config.json, and, of a model on the Hub, the revision."""
        if self._location is None:
            try:
                found = cached_file(self.name, CONFIG_NAME)
            except (OSError, ValueError) as error:
                raise ConfigurationError(
                    f"the teacher{whose} is missing: there is no directory {self.name} with a "
                    f"{CONFIG_NAME}, and no model of that name can be had from the Hugging Face "
                    f'Hub ({_brief(error)}). Correct its name in "teachers", or download it first'
                ) from error
            revision = None if os.path.isdir(self.name) else extract_commit_hash(found, None)
            self._location = Path(found), revision
        return self._location

    def loaded(self) -> _Parts:
        if self._parts is None:
            logger.info("loading teacher %s", self.name)
            with _named(self.name):
                self._parts = self._load()
        return self._parts

    def _load(self) -> _Parts:
        _, revision = self._located()
        options = {"revision": revision or "main", "trust_remote_code": False}
        config = AutoConfig.from_pretrained(self.name, **options)
        labels = _labels(config)
        tokenizer = _tokenizer(self.name, options)
        max_length = _max_length(config, tokenizer, self._max_length)
        model, found = AutoModelForTokenClassification.from_pretrained(
            self.name, config=config, output_loading_info=True, **options
        )
        if found["missing_keys"]:
            raise ConfigurationError(
                f"it has no weights {quoted(sorted(found['missing_keys']))}, so it is no trained "
                f"token classifier (it is a {' or a '.join(config.architectures or ['model'])}): "
                "fine-tune it for your labels first, or take one that has been"
            )
        pieces = model.get_input_embeddings().num_embeddings
        if len(tokenizer) > pieces:
            raise ConfigurationError(
                f"its tokenizer has {len(tokenizer):,} sub-words and the model {pieces:,}: they do "
                "not belong together. Copy the tokenizer's files from where the model was made"
            )
        check_finite(model)
        crf = self._crf(labels, options)
        return _Parts(model.eval().requires_grad_(False), tokenizer, crf, max_length)

    def _crf(self, labels: List[str], options: Any) -> StoredCrf:
        path = cached_file(
            self.name,
            CRF_FILE,
            revision=options["revision"],
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        if path is not None:
            crf = read_crf(Path(path), labels)
            encoding = stated_scheme(labels, self._label_encoding, crf.label_encoding)
            return crf._replace(label_encoding=encoding)
        potentials = Potentials.zeros(len(labels))
        return StoredCrf(labels, stated_scheme(labels, self._label_encoding), "first", potentials)

    def _warn_of_unread(self, words: Sequence[str]) -> None:
        if words and not self._warned:
            self._warned = True
            logger.warning(
                "teacher %s: its tokenizer gives no sub-words for words such as %s, so it has the "
                "same score for each label of these",
                self.name,
                quoted(words[0]),
            )


@contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(f"teacher {name} cannot be loaded: {error.message}") from error
    # `transformers` says what is wrong with a model in errors of many kinds.
    except Exception as error:
        raise ConfigurationError(
            f"teacher {name} cannot be loaded ({type(error).__name__}: {_brief(error)}): it "
            "must be a token classifier of Hugging Face, as AutoModelForTokenClassification loads "
            "it, with its tokenizer"
        ) from error


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _labels(config: PretrainedConfig) -> List[str]:
    names = {int(number): str(name) for number, name in config.id2label.items()}
    labels = [names[number] for number in sorted(names)]
    if sorted(names) != list(range(len(names))) or len(set(labels)) != len(labels):
        raise ConfigurationError(
            f'the "id2label" in its {CONFIG_NAME} is {quoted(config.id2label)}: it must have '
            "different names for the numbers from 0 on"
        )
    if all(map(_PLACEHOLDER.fullmatch, labels)):
        raise ConfigurationError(
            f"its labels have no names, only placeholders such as {labels[0]}, and labels are "
            f'matched by name: write the names into "id2label" in its {CONFIG_NAME} (of a model on '
            "the Hub, in a copy that you download), in the order in which it was trained"
        )
    return labels


def _tokenizer(name: str, options: Any) -> PreTrainedTokenizerFast:
    tokenizer = AutoTokenizer.from_pretrained(name, **options)
    if not tokenizer.is_fast:
        raise ConfigurationError(
            f"its {type(tokenizer).__name__} is no fast tokenizer, and only these know which "
            "sub-words a word has: save it again where transformers can convert it, with its "
            "tokenizer.json"
        )
    if getattr(tokenizer, "add_prefix_space", True) is False:
        # Byte-level BPE has other sub-words for a word at the start of a text. A word is given to
        # it as one inside of a text.
        tokenizer = AutoTokenizer.from_pretrained(name, add_prefix_space=True, **options)
    tokenizer.truncation_side = "right"
    return tokenizer


def _max_length(
    config: PretrainedConfig, tokenizer: PreTrainedTokenizerFast, chosen: Optional[int]
) -> int:
    longest = max_length(config)
    limit = min(x for x in (tokenizer.model_max_length, longest) if x is not None)
    if limit > 1_000_000:
        limit = chosen or _USUAL_LENGTH
    least = tokenizer.num_special_tokens_to_add() + 2
    if chosen is not None and not least <= chosen <= limit:
        raise ConfigurationError(
            f'"max_length" is {chosen}, and must be {least} or more, and at most {limit}, which is '
            "what the model takes"
        )
    return chosen or limit


def _padded(rows: List[List[int]], name: str, tokenizer: PreTrainedTokenizerFast) -> Tensor:
    padding = {
        "input_ids": tokenizer.pad_token_id or 0,
        "token_type_ids": tokenizer.pad_token_type_id,
    }.get(name, 0)
    longest = max(map(len, rows))
    return torch.tensor([row + [padding] * (longest - len(row)) for row in rows])


def _weights(directory: Path) -> List[Path]:
    """Those that are loaded: a directory may have them in several formats."""
    for pattern in ("model*.safetensors", "pytorch_model*.bin"):
        if found := sorted(directory.glob(pattern)):
            return found
    raise ConfigurationError(
        f"the teacher {directory} has no weights: there is no model.safetensors in it, and no "
        "pytorch_model.bin. Save it again with save_pretrained"
    )


def _digest_of_directory(directory: Path) -> str:
    """Of all that scores depend on, and nothing that a trainer or a person has left beside it."""
    others = [path for name in ("*.json", "*.txt", "*.model") for path in directory.glob(name)]
    files = [*_weights(directory), *others, *directory.glob(CRF_FILE)]
    return digest_of(sorted(files), directory)
