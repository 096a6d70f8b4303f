"""
The `export-tagger` subcommand writes a trained tagger for where there is neither AllenNLP nor
PyTorch.
"""

import argparse
from pathlib import Path

from allennlp.commands.subcommand import Subcommand


@Subcommand.register("export-tagger")
class ExportTagger(Subcommand):
    def add_subparser(self, parser: argparse._SubParsersAction) -> argparse.ArgumentParser:
        description = """Write the tagger of an archive as a directory that structkd and
                         structkd_allennlp.serving tag with: an ONNX graph, all that belongs to it,
                         and a model card."""
        subparser = parser.add_parser(
            self.name, description=description, help="Write a tagger to be served."
        )
        subparser.add_argument("archive_file", type=str, help="path to a model.tar.gz")
        subparser.add_argument("directory", type=Path, help="directory to write")
        subparser.add_argument(
            "--quantise", choices=["int8"], default=None, help="weights of 8 bits"
        )
        subparser.set_defaults(func=_export_from_args)
        return subparser


def _export_from_args(args: argparse.Namespace) -> None:
    # onnx and onnxruntime are not needed by other commands.
    from structkd_allennlp.serving.export.exporter import export_tagger

    exported = export_tagger(args.archive_file, args.directory, args.quantise)
    text = (
        f"{args.directory}: {exported.size / 1e6:.1f} MB; on {exported.sentences} sentences its "
        f"tags are those of {args.archive_file}, and its scores differ by "
        f"{exported.difference:.1e} at most"
    )
    if exported.changed is not None:
        text += (
            f", before quantisation, which changes {exported.changed} of {exported.words:,} tags"
        )
    print(text)
