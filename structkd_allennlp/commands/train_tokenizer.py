"""The `train-tokenizer` subcommand trains the sub-word tokenizer of an encoder of one's own."""

import argparse
import json
from pathlib import Path
from typing import Any, Dict, Iterator, List

from allennlp.commands.subcommand import Subcommand
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.data import DatasetReader

from structkd_allennlp.data.dataset_readers.multilingual import MultilingualReader
from structkd_allennlp.data.dataset_readers.sampled_text import SampledText
from structkd_allennlp.data.tokenizers.training import FALLBACKS, train_tokenizer, write_tokenizer


@Subcommand.register("train-tokenizer")
class TrainTokenizer(Subcommand):
    def add_subparser(self, parser: argparse._SubParsersAction) -> argparse.ArgumentParser:
        description = """Train a cased sub-word tokenizer on text or corpora in several languages,
                         and write a directory that Hugging Face's AutoTokenizer loads."""
        subparser = parser.add_parser(
            self.name, description=description, help="Train a sub-word tokenizer."
        )
        subparser.add_argument(
            "paths",
            type=str,
            nargs="+",
            help="files, in any form that a corpus path can have, such as text/{language}.txt",
        )
        subparser.add_argument(
            "-s", "--serialization-dir", required=True, type=str, help="directory to write"
        )
        subparser.add_argument(
            "--languages", type=str, default="", help="what {language} stands for: en,de,..."
        )
        subparser.add_argument(
            "--reader",
            type=str,
            default='{"type": "unlabelled_text"}',
            help="JSON of the dataset reader of the files (default: a sentence a line, its tokens "
            "separated by spaces)",
        )
        subparser.add_argument(
            "--vocabulary-size", type=int, default=10000, help="pieces with special tokens"
        )
        subparser.add_argument(
            "--exponent",
            type=float,
            default=0.7,
            help="languages are sampled in proportion to size ** exponent",
        )
        subparser.add_argument(
            "--fallback",
            choices=FALLBACKS,
            default=FALLBACKS[0],
            help="what unknown words are split into: WordPiece (character) or BPE (byte)",
        )
        subparser.add_argument(
            "--min-frequency", type=int, default=2, help="leave out what is rarer than this"
        )
        subparser.set_defaults(func=_train_from_args)
        return subparser


def _train_from_args(args: argparse.Namespace) -> None:
    directory = Path(args.serialization_dir)
    if directory.exists():
        raise ConfigurationError(
            f"{directory} exists already: name another directory, or delete it"
        )
    languages: List[str] = [x for x in args.languages.split(",") if x]
    text = SampledText(
        MultilingualReader(reader=_reader(args.reader), languages=languages),
        args.paths,
        args.exponent,
    )

    def texts() -> Iterator[List[str]]:
        return (sentence.words for sentence in text.sentences())

    tokenizer = train_tokenizer(texts, args.vocabulary_size, args.fallback, args.min_frequency)
    write_tokenizer(tokenizer, directory)
    for language, size in text.sizes.items():
        print(f"{language}: {size:,} sentences, each {text.copies[language]:.2f} times")
    print(f"{directory}: {len(tokenizer):,} pieces")


def _reader(text: str) -> DatasetReader:
    try:
        params: Dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(
            f"--reader: {text!r} is not JSON ({error}). Write it as "
            '\'{"type": "structkd_conll"}\', for example.'
        ) from error
    return DatasetReader.from_params(Params(params))
