"""Text for the training of masked language models."""

from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from allennlp.common.checks import ConfigurationError
from allennlp.common.util import lazy_groups_of
from allennlp.data import DatasetReader, Instance
from allennlp.data.fields import MetadataField, TransformerTextField

from structkd_allennlp.data.corpus_paths import Paths
from structkd_allennlp.data.dataset_readers.multilingual import UNDETERMINED, MultilingualReader
from structkd_allennlp.data.dataset_readers.sampled_text import SampledText
from structkd_allennlp.data.dataset_readers.unlabelled_text import UnlabelledTextReader
from structkd_allennlp.data.fields.sentence_metadata import SentenceMetadata
from structkd_allennlp.data.sentences import TaggedSentence
from structkd_allennlp.data.tokenizers.pretrained import masked_lm_tokenizer

_GROUP = 128  # sentences that are split into sub-words at a time


@DatasetReader.register("pretraining_text")
class PretrainingTextReader(DatasetReader):
    """
    Reads text in several languages for the training of a masked language model: languages are
    sampled by an exponent (see `SampledText`), words are split into sub-words, and sentences of one
    language are packed into blocks. Masking is the data loader's: set its `collate_fn` to
    `{"type": "masked_language_modeling", "model_name": ...}`.

    An instance is a block: `[CLS] sentence [SEP] sentence ... [SEP]`. A sentence is broken only
    where it is longer than a whole block. Fields are `tokens` (a `TransformerTextField`) and
    `metadata` with the `language`.

    Text is streamed. Workers and ranks each read their own sentences of every language.

    Registered as a `DatasetReader` with name "pretraining_text".

    # Parameters

    tokenizer : `str`
        The directory or name of a Hugging Face tokenizer.
    languages : `List[str]`, optional (default=`None`)
        What `{language}` stands for in a path.
    length : `int`, optional (default=`128`)
        The most sub-words of a block, special tokens included.
    exponent : `float`, optional (default=`0.7`)
        Languages are sampled in proportion to size ** exponent: 0.7 in multilingual BERT, 0.3 in
        XLM-R. With 1, which is for validation, each sentence comes once.
    reader : `TaggingReader`, optional (default = `UnlabelledTextReader`)
        Reads the files; tags are ignored. The default takes a sentence a line, its tokens separated
        by spaces. Set `{"type": "unlabelled_text", "tokenized": false}` for raw text.
    """

    def __init__(
        self,
        tokenizer: str,
        languages: Optional[List[str]] = None,
        length: int = 128,
        exponent: float = 0.7,
        reader: Optional[DatasetReader] = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            manual_distributed_sharding=True, manual_multiprocess_sharding=True, **kwargs
        )
        self.tokenizer = masked_lm_tokenizer(tokenizer)
        self.length = length
        if length < 3:
            raise ConfigurationError(
                f'"length" must be 3 or more, not {length}: two of a block are special tokens'
            )
        self.exponent = exponent
        self.reader = MultilingualReader(
            reader=reader or UnlabelledTextReader(), languages=languages
        )

    def _read(self, file_path: Paths) -> Iterator[Instance]:
        text = SampledText(self.reader, file_path, self.exponent)
        for language, block in self._blocks(text.sentences(*self._shard())):
            yield self._instance(block, language)

    def text_to_instance(
        self, sentences: Sequence[Sequence[str]], language: Optional[str] = None
    ) -> Instance:
        """
        One block.

        # Parameters

        sentences : `Sequence[Sequence[str]]`
            The words of each.
        language : `str`, optional (default=`None`)

        # Raises

        `ConfigurationError` for sentences that do not fit into one.
        """
        tagged = [TaggedSentence([], None, language) for _ in sentences]
        blocks = list(self._pack(zip(tagged, self._pieces(sentences), strict=True)))
        if len(blocks) != 1:
            raise ConfigurationError(
                f"{len(sentences)} sentences make {len(blocks)} blocks of {self.length} sub-words, "
                'not one. Pass fewer, or raise "length".'
            )
        return self._instance(blocks[0][1], language)

    def _shard(self) -> Tuple[int, int]:
        """Which of how many parts of the text is for this worker of this rank."""
        rank, worker = self.get_distributed_info(), self.get_worker_info()
        shard, shards = (0, 1) if rank is None else (rank.global_rank, rank.world_size)
        if worker is not None:
            shard = shard * worker.num_workers + worker.id
            shards *= worker.num_workers
        return shard, shards

    def _blocks(self, sentences: Iterator[TaggedSentence]) -> Iterator[Tuple[str, List[int]]]:
        groups = lazy_groups_of(sentences, _GROUP)
        return self._pack(
            pair
            for group in groups
            for pair in zip(group, self._pieces([x.words for x in group]), strict=True)
        )

    def _pack(
        self, sentences: Iterator[Tuple[TaggedSentence, List[int]]]
    ) -> Iterator[Tuple[str, List[int]]]:
        """The blocks of each language, without the tokens at their two ends."""
        room = self.length - 2
        # The block of each language that is not full yet.
        begun: Dict[str, List[int]] = {}
        for sentence, pieces in sentences:
            language = sentence.language or UNDETERMINED
            for start in range(0, len(pieces), room):
                part = pieces[start : start + room]
                block = begun.setdefault(language, [])
                if block and len(block) + 1 + len(part) > room:
                    yield language, block
                    block = begun[language] = []
                if block:
                    block.append(self.tokenizer.sep_token_id)
                block += part
        yield from begun.items()

    def _pieces(self, sentences: Sequence[Sequence[str]]) -> List[List[int]]:
        encoded = self.tokenizer(
            [list(words) for words in sentences],
            is_split_into_words=True,
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            # Of texts longer than the model's limit, which blocks never are.
            verbose=False,
        )
        pieces: List[List[int]] = encoded["input_ids"]
        return pieces

    def _instance(self, block: List[int], language: Optional[str]) -> Instance:
        ends = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        return Instance(
            {
                "tokens": TransformerTextField(
                    [ends[0], *block, ends[1]], padding_token_id=self.tokenizer.pad_token_id
                ),
                "metadata": MetadataField(SentenceMetadata({"language": language})),
            }
        )
