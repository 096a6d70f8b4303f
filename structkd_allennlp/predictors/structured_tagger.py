import json
from contextlib import suppress
from typing import Any, Dict, List, Optional, Tuple

from allennlp.common.checks import ConfigurationError
from allennlp.common.util import JsonDict, sanitize
from allennlp.data import DatasetReader, Instance, Token
from allennlp.data.fields import TextField
from allennlp.models import Model
from allennlp.predictors.predictor import Predictor

from structkd_allennlp.data.dataset_readers import MultilingualReader, TaggingReader
from structkd_allennlp.data.sentences import instance_of_words, metadata_of
from structkd_allennlp.data.tokenizers import blank_spacy_tokenizer
from structkd_allennlp.models.structured_crf_tagger import StructuredCrfTagger


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

    Registered as a `Predictor` with name "structured_tagger".

    # Parameters

    top_k : `int`, optional
        How many tag sequences to list; by default as many as the model is set to.
    marginals : `bool`, optional
        Whether to list the probability of every label; by default as the model is set.
    language : `str`, optional
        The language of input that does not name its own.

    All three can be given to `allennlp predict` by `--predictor-args '{"top_k": 3}'`.
    """

    def __init__(
        self,
        model: Model,
        dataset_reader: DatasetReader,
        frozen: bool = True,
        top_k: Optional[int] = None,
        marginals: Optional[bool] = None,
        language: Optional[str] = None,
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
                f"the predictor structured_tagger has no setting {sorted(unknown)}: there are "
                "top_k, marginals and language"
            )
        if top_k is not None:
            if type(top_k) is not int or top_k < 1:
                raise ConfigurationError(
                    f"top_k must be a whole number of at least 1, not {top_k!r}"
                )
            tagger.top_k = top_k
        if marginals is not None:
            tagger.marginals = marginals
        self._tagger = tagger
        self._language = language

    def load_line(self, line: str) -> JsonDict:
        line = line.strip("\r\n")
        if line.lstrip().startswith("["):
            # A list of words, unless it is a sentence that starts with a bracket.
            with suppress(json.JSONDecodeError):
                return {"words": json.loads(line)}
        if not line.lstrip().startswith("{"):
            return {"sentence": line}
        try:
            return json.loads(line)
        except json.JSONDecodeError as error:
            raise ConfigurationError(
                f"this line starts as JSON but is none ({error}): {line!r}. Write "
                '{"sentence": "..."} or {"words": ["..."]}; a plain sentence that starts with a '
                "brace must be written as JSON"
            ) from error

    def dump_line(self, outputs: JsonDict) -> str:
        return json.dumps(outputs, ensure_ascii=False) + "\n"

    def predict(
        self, sentence: Optional[str] = None, words: Optional[List[str]] = None, **kwargs: Any
    ) -> JsonDict:
        """Tags one sentence, given raw or as words; `language` as a keyword."""
        given = {"sentence": sentence, "words": words, **kwargs}
        return self.predict_json({k: v for k, v in given.items() if v is not None})

    def predict_json(self, inputs: JsonDict) -> JsonDict:
        return self.predict_batch_json([inputs])[0]

    def predict_batch_json(self, inputs: List[JsonDict]) -> List[JsonDict]:
        read = [self._read(json_dict) for json_dict in inputs]
        # A model can not run on nothing, but a bulk of sentences must not fail over an empty one.
        results = iter(
            self.predict_batch_instance([self._instance(*one) for one in read if one[0]])
        )
        return [next(results) if tokens else self._empty(language) for tokens, language, _ in read]

    def predict_instance(self, instance: Instance) -> JsonDict:
        return self.predict_batch_instance([instance])[0]

    def predict_batch_instance(self, instances: List[Instance]) -> List[JsonDict]:
        if not instances:
            return []
        outputs = sanitize(self._model.forward_on_instances(instances))
        return [self._result(*pair) for pair in zip(instances, outputs, strict=True)]

    def _json_to_instance(self, json_dict: JsonDict) -> Instance:
        return self._instance(*self._read(json_dict))

    def _read(self, json_dict: JsonDict) -> Tuple[List[Token], Optional[str], Optional[str]]:
        """The tokens, the language, and the raw text where there is one."""
        language = json_dict.get("language", self._language)
        if language is not None and not isinstance(language, str):
            raise ConfigurationError(f'"language" must be a string such as "en", not {language!r}')
        words, text = json_dict.get("words"), json_dict.get("sentence")
        if (words is None) == (text is None):
            raise ConfigurationError(
                'an input needs either "words", a list of strings, or "sentence", a string: '
                f"{json.dumps(json_dict, ensure_ascii=False)}"
            )
        if text is not None:
            if not isinstance(text, str):
                raise ConfigurationError(f'"sentence" must be a string, not {text!r}')
            reader = self._dataset_reader
            if isinstance(reader, (TaggingReader, MultilingualReader)):
                return reader.tokenize(text, language), language, text
            return blank_spacy_tokenizer(language or "xx").tokenize(text), language, text
        if not isinstance(words, list) or not all(isinstance(w, str) and w for w in words):
            raise ConfigurationError(f'"words" must be a list of non-empty strings, not {words!r}')
        return [Token(word) for word in words], language, None

    def _instance(
        self, tokens: List[Token], language: Optional[str], text: Optional[str]
    ) -> Instance:
        instance = instance_of_words(self._dataset_reader, tokens, language)
        if text is not None:
            metadata_of(instance)["text"] = text
        return instance

    def _result(self, instance: Instance, outputs: Dict[str, Any]) -> JsonDict:
        metadata = metadata_of(instance)
        text_field = instance["tokens"]
        assert isinstance(text_field, TextField)
        result = {
            "words": outputs["words"],
            "language": metadata.get("language"),
            "tags": outputs["tags"],
            "tag_probabilities": outputs["tag_probabilities"],
            "entities": [
                self._entity(entity, text_field.tokens, metadata.get("text"))
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
        names = ["words", "tags", "tag_probabilities", "entities", "top_k"]
        if self._tagger.marginals:
            names.append("marginals")
        return {"language": language, **{name: [] for name in names}}
