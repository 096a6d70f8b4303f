"""
The `export-transformer` subcommand writes a trained transformer tagger as a token classifier of
Hugging Face.
"""

import argparse
from pathlib import Path

from allennlp.commands.subcommand import Subcommand

from structkd_allennlp.models.transformer_export import export_transformer


@Subcommand.register("export-transformer")
class ExportTransformer(Subcommand):
    def add_subparser(self, parser: argparse._SubParsersAction) -> argparse.ArgumentParser:
        description = """Write the tagger of an archive, a transformer with a CRF on top, as a
                         directory that Hugging Face's AutoModelForTokenClassification loads, with
                         the CRF beside it and a few lines that tag with both."""
        subparser = parser.add_parser(
            self.name, description=description, help="Write a tagger as a Hugging Face directory."
        )
        subparser.add_argument("archive_file", type=str, help="path to a model.tar.gz")
        subparser.add_argument("directory", type=Path, help="directory to write")
        subparser.set_defaults(func=_export_from_args)
        return subparser


def _export_from_args(args: argparse.Namespace) -> None:
    exported = export_transformer(args.archive_file, args.directory)
    print(
        f"{args.directory}: {len(exported.labels)} labels; on {exported.words} words its scores "
        f"differ from those of {args.archive_file} by {exported.difference:.1e} at most"
    )
    if exported.sub_token_mode == "avg":
        print(
            "A word has the mean scores of its sub-words, as README.md there computes them; a "
            "pipeline that reads first sub-words sees something else. To have first sub-words, "
            'train with "sub_token_mode": "first"'
        )
