import codecs
import json
import locale
import math
import sys
from typing import Any, Callable, Dict, List, Optional, Sequence, TypeVar, Union

from allennlp.common.checks import ConfigurationError
from allennlp.common.util import JsonDict
from allennlp.data import DatasetReader, Instance, Token
from allennlp.data.fields import TextField
from allennlp.models import Model
from allennlp.predictors.predictor import Predictor

from structkd_allennlp.common.batching import LIKE_A_TOKEN, SentenceSize, weighted_batches
from structkd_allennlp.common.requests import Request, RequestError, parse_line
from structkd_allennlp.common.text import quoted
from structkd_allennlp.data.dataset_readers import MultilingualReader, TaggingReader
from structkd_allennlp.data.sentences import instance_of_words, metadata_of
from structkd_allennlp.data.tokenizers import blank_spacy_tokenizer
from structkd_allennlp.models.structured_crf_tagger import StructuredCrfTagger
from structkd_allennlp.predictors.input_lines import BYTE_ORDER_MARK, BadLines, InputLine

Outcome = Union[JsonDict, Exception]
"""What there is to say of an input, or why there is nothing."""

Asked = TypeVar("Asked")

LONGER = "Split it, or raise the bound by --predictor-args '{\"max_sentence_length\": ...}'"


@Predictor.register("structured_tagger")
class StructuredTaggerPredictor(Predictor):
    """
    Tags new text with a `structured_crf_tagger` or with the student of a `structure_kd`, offline
    and in any language.

    Input is a sentence a line: plain text, JSON, `{"sentence": "A b"}` or `{"words": ["A", "b"]}`,
    each with an optional `"language"`, or a JSON list of words. Sentences are split into words by
    the tokenizer of the dataset reader, by default spaCy's blank one for the language.

    Output for a sentence is

    - `words`, `language`, `tags`, and `tag_probabilities`, the marginal of each tag;
    - `entities`, each with `text`, `label`, `start` and `end` (tokens, the end exclusive),
      `start_char` and `end_char` (characters of the sentence, the end exclusive; only for
      sentences that came as raw text) and `probability`, that of exactly this entity being there;
    - `top_k`: the best tag sequences, each with `tags`, `score` (unnormalised) and `probability`;
    - `marginals`, if asked for: for every token, the probability of every label.

    A line that cannot be tagged ends the job, with the number of the line and the reason, unless
    `skip_errors`. `allennlp predict` skips blank lines before a predictor learns of them, so lines
    are counted without them: line 7 of the input is what line 7 of the output is about.

    Registered as a `Predictor` with name "structured_tagger".

    # Parameters

    top_k : `int`, optional
        How many tag sequences to list; by default as many as the model is set to. Fewer where no
        more exist.
    marginals : `bool`, optional
        Whether to list the probability of every label; by default as the model is set.
    language : `str`, optional
        The language of input that does not name its own.
    skip_errors : `bool`, optional (default = `False`)
        Whether to go on after input that cannot be tagged. Its line of the output has only an
        `error`, and their number is logged at the end.
    bad_lines : `str`, optional
        A file for the lines that cannot be tagged, as they were; only with `skip_errors`.
    max_tokens_per_batch : `int`, optional (default = `8192`)
        Sentences that are given together are sorted by length and pass through the model in batches
        of at most this many tokens, padding included, or of one sentence.
    max_sentence_length : `int`, optional (default = `250_000`)
        In tokens. A longer sentence cannot be tagged.

    For both of the last, every 16 characters of the longest word, and every 16 sequences of
    `top_k`, make all tokens of a sentence count once more: that is about what memory they take.

    All can be given to `allennlp predict` by `--predictor-args '{"top_k": 3}'`.

    # Raises

    `ConfigurationError` for a model of another type, for settings of other names or types, and,
    without `skip_errors`, for input that cannot be tagged.
    """

    def __init__(
        self,
        model: Model,
        dataset_reader: DatasetReader,
        frozen: bool = True,
        top_k: Optional[int] = None,
        marginals: Optional[bool] = None,
        language: Optional[str] = None,
        skip_errors: bool = False,
        bad_lines: Optional[str] = None,
        max_tokens_per_batch: int = 8192,
        max_sentence_length: int = 250_000,
        **unknown: Any,
    ) -> None:
        super().__init__(model, dataset_reader, frozen)
        tagger = getattr(model, "student", model)
        if not isinstance(tagger, StructuredCrfTagger):
            raise ConfigurationError(
                f"the predictor structured_tagger needs a structured_crf_tagger or a structure_kd, "
                f"not a {type(model).__name__}"
            )
        if unknown:
            raise ConfigurationError(
                f"the predictor structured_tagger has no setting {quoted(sorted(unknown))}: there "
                "are top_k, marginals, language, skip_errors, bad_lines, max_tokens_per_batch and "
                "max_sentence_length"
            )
        if top_k is not None:
            tagger.top_k = _whole_number("top_k", top_k)
        if marginals is not None:
            tagger.marginals = _flag("marginals", marginals)
        self._tagger = tagger
        self._language = language
        self._skip_errors = _flag("skip_errors", skip_errors)
        if bad_lines is not None and not (skip_errors and isinstance(bad_lines, str)):
            raise ConfigurationError(
                f"bad_lines is {quoted(bad_lines)}: it must be the path of a file, and that is "
                'written only with "skip_errors": true'
            )
        self._bad = BadLines(bad_lines)
        self._max_tokens_per_batch = _whole_number("max_tokens_per_batch", max_tokens_per_batch)
        self._max_sentence_length = _whole_number("max_sentence_length", max_sentence_length)
        self._lines = 0

    def load_line(self, line: str) -> JsonDict:
        self._lines += 1
        line = line.rstrip("\r\n")
        if self._lines == 1:
            line = line.removeprefix(BYTE_ORDER_MARK)
        try:
            self._check_characters(len(line))
            return InputLine(_asked(parse_line, line).to_json(), self._lines, line)
        except ConfigurationError as error:
            bad = InputLine({}, self._lines, line, error.message)
            if self._skip_errors:
                # Counted when its turn in the output comes.
                return bad
            raise self._explained(error, bad) from error

    def dump_line(self, outputs: JsonDict) -> str:
        # AllenNLP writes in the encoding of the locale. ASCII is the same in all of them.
        return json.dumps(outputs, ensure_ascii=not _writes_utf8()) + "\n"

    def predict(
        self, sentence: Optional[str] = None, words: Optional[List[str]] = None, **kwargs: Any
    ) -> JsonDict:
        """Tags one sentence, given raw or as words; `language` as a keyword."""
        given = {"sentence": sentence, "words": words, **kwargs}
        return self.predict_json({k: v for k, v in given.items() if v is not None})

    def predict_json(self, inputs: JsonDict) -> JsonDict:
        return self.predict_batch_json([inputs])[0]

    def predict_batch_json(self, inputs: List[JsonDict]) -> List[JsonDict]:
        prepared = [self._prepared(given) for given in inputs]
        tagged = iter(self._tagged([one for one in prepared if isinstance(one, Instance)]))
        outcomes = [next(tagged) if isinstance(one, Instance) else one for one in prepared]
        return self._results(inputs, outcomes)

    def predict_instance(self, instance: Instance) -> JsonDict:
        return self.predict_batch_instance([instance])[0]

    def predict_batch_instance(self, instances: List[Instance]) -> List[JsonDict]:
        return self._results(instances, self._tagged(instances))

    def _json_to_instance(self, json_dict: JsonDict) -> Instance:
        instance = self._instance(json_dict)
        if instance is None:
            raise ConfigurationError("a sentence without words makes no instance. Leave it out")
        return instance

    def _prepared(self, given: JsonDict) -> Union[Instance, JsonDict, Exception]:
        """What the model is to tag, or what comes of the input without it."""
        try:
            instance = self._instance(given)
        # Tokenizers and dataset readers may be anybody's.
        except Exception as error:
            return error
        # No model runs on nothing, but a job must not fail over an empty sentence.
        return self._empty(given.get("language")) if instance is None else instance

    def _instance(self, given: JsonDict) -> Optional[Instance]:
        """`None` for a sentence without words."""
        if isinstance(given, InputLine) and given.error:
            raise ConfigurationError(given.error)
        sentence, language = _asked(Request.from_json, given)
        language = language or self._language
        if isinstance(sentence, str):
            # Before time goes into tokens of what is too long anyway.
            self._check_characters(len(sentence))
            self._check_length(sentence.split())
            tokens = self._tokenize(sentence, language)
        else:
            tokens = [Token(word) for word in sentence]
        self._check_length(tokens)
        if not tokens:
            return None
        instance = instance_of_words(self._dataset_reader, tokens, language)
        if isinstance(sentence, str):
            metadata_of(instance)["text"] = sentence
        return instance

    def _tokenize(self, text: str, language: Optional[str]) -> List[Token]:
        reader = self._dataset_reader
        if isinstance(reader, (TaggingReader, MultilingualReader)):
            return reader.tokenize(text, language)
        return blank_spacy_tokenizer(language or "xx").tokenize(text)

    def _check_characters(self, count: int) -> None:
        most = self._max_sentence_length * LIKE_A_TOKEN
        if count > most:
            raise ConfigurationError(
                f"{count:,} characters are more than the {most:,} ({LIKE_A_TOKEN} a token) of a "
                f"sentence of max_sentence_length ({self._max_sentence_length:,}). {LONGER}"
            )

    def _check_length(self, tokens: Sequence[Any]) -> None:
        if len(tokens) > self._max_sentence_length:
            raise ConfigurationError(
                f"a sentence of {len(tokens):,} words is longer than max_sentence_length "
                f"({self._max_sentence_length:,}). {LONGER}"
            )

    def _results(self, inputs: Sequence[Any], outcomes: Sequence[Outcome]) -> List[JsonDict]:
        """One for each input; for a bad one an `error`, or an exception unless they are skipped."""
        self._bad.count(len(inputs))
        results = []
        for given, outcome in zip(inputs, outcomes, strict=True):
            if isinstance(outcome, Exception):
                error = self._explained(outcome, given)
                if not self._skip_errors:
                    raise error from outcome
                self._bad.add(given if isinstance(given, InputLine) else None, error.message)
                outcome = {"error": error.message}
            results.append(outcome)
        return results

    @staticmethod
    def _explained(error: Exception, given: Any) -> ConfigurationError:
        if isinstance(error, ConfigurationError):
            reason = error.message
        else:
            reason = f"it cannot be tagged ({type(error).__name__}: {str(error)[:100]})"
        if isinstance(given, InputLine):
            place = f"line {given.number} (blank lines not counted)"
        elif isinstance(given, Instance):
            place = f"the sentence {_beginning(given)}"
        else:
            place = f"the input {quoted(given)}"
        return ConfigurationError(f"{place}: {reason}")

    def _tagged(self, instances: Sequence[Instance]) -> List[Outcome]:
        outcomes: Dict[int, Outcome] = {}
        sizes: Dict[int, SentenceSize] = {}
        for i, instance in enumerate(instances):
            try:
                sizes[i] = self._size(instance)
            except ConfigurationError as error:
                outcomes[i] = error
        for batch in weighted_batches(sizes, self._max_tokens_per_batch):
            outcomes.update(zip(batch, self._outcomes([instances[i] for i in batch]), strict=True))
        return [outcomes[i] for i in range(len(instances))]

    def _size(self, instance: Instance) -> SentenceSize:
        tokens = _tokens(instance)
        sequences = self._tagger.num_sequences(len(tokens))
        size = SentenceSize.of([token.text or "" for token in tokens], sequences)
        if size.total > self._max_sentence_length:
            raise ConfigurationError(
                f"{len(tokens):,} tokens, the longest of {max(map(_length, tokens)):,} characters, "
                f"with {sequences:,} label sequences (top_k) take as much memory as "
                f"{size.total:,} tokens, more than max_sentence_length "
                f"({self._max_sentence_length:,}) allows. Ask for fewer sequences. {LONGER}"
            )
        return size

    def _outcomes(self, batch: List[Instance]) -> List[Outcome]:
        """Of sentences that pass through the model together."""
        try:
            outputs = self._model.forward_on_instances(batch)
            return [self._result(*pair) for pair in zip(batch, outputs, strict=True)]
        # Embedders may be anybody's.
        except Exception as error:
            if len(batch) == 1:
                return [error]
        # One of them is at fault, or all together are too many.
        return [outcome for instance in batch for outcome in self._outcomes([instance])]

    def _result(self, instance: Instance, outputs: Dict[str, Any]) -> JsonDict:
        metadata = metadata_of(instance)
        if not all(map(math.isfinite, outputs["tag_probabilities"])):
            raise ConfigurationError(
                "the model gives probabilities that are no numbers (NaN): check its weights"
            )
        result = {
            "words": outputs["words"],
            "language": metadata.get("language"),
            "tags": outputs["tags"],
            "tag_probabilities": outputs["tag_probabilities"],
            "entities": [
                self._entity(entity, _tokens(instance), metadata.get("text"))
                for entity in outputs.get("entities", [])
            ],
            "top_k": outputs["top_k"],
        }
        if "marginals" in outputs:
            result["marginals"] = outputs["marginals"]
        return result

    @staticmethod
    def _entity(entity: JsonDict, tokens: List[Token], text: Optional[str]) -> JsonDict:
        start, end = entity["start"], entity["end"]
        result = {"text": " ".join(token.text or "" for token in tokens[start:end]), **entity}
        if text is not None:
            first, last = tokens[start].idx, tokens[end - 1].idx_end
            result.update(text=text[first:last], start_char=first, end_char=last)
        return result

    def _empty(self, language: Optional[str]) -> JsonDict:
        language = language or self._language
        names = ["words", "tags", "tag_probabilities", "entities", "top_k"]
        if self._tagger.marginals:
            names.append("marginals")
        return {"language": language, **{name: [] for name in names}}


def _asked(parse: Callable[[Any], Asked], given: Any) -> Asked:
    try:
        return parse(given)
    except RequestError as error:
        raise ConfigurationError(str(error)) from error


def _tokens(instance: Instance) -> List[Token]:
    text_field = instance["tokens"]
    assert isinstance(text_field, TextField)
    return text_field.tokens


def _length(token: Token) -> int:
    return len(token.text or "")


def _beginning(instance: Instance) -> str:
    return quoted(" ".join(token.text or "" for token in _tokens(instance)[:20]))


def _whole_number(name: str, value: Any) -> int:
    # JSON has one kind of numbers, and 1e3 is a whole one.
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    if type(whole) is not int or whole < 1:
        raise ConfigurationError(
            f"{name} must be a whole number of at least 1, not {quoted(value)}"
        )
    return whole


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} must be true or false, not {quoted(value)}")
    return value


def _writes_utf8() -> bool:
    """Whether AllenNLP writes UTF-8, both to files and to the terminal."""
    used = locale.getpreferredencoding(False), getattr(sys.stdout, "encoding", None)
    return all(codecs.lookup(encoding).name == "utf-8" for encoding in used if encoding)
