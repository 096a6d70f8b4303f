"""Arguments that our subcommands share with AllenNLP's own."""

import argparse


def add_configuration_arguments(parser: argparse.ArgumentParser) -> None:
    """What `allennlp train` too takes to read a configuration and to log."""
    parser.add_argument(
        "-o",
        "--overrides",
        type=str,
        default="",
        help="a json(net) structure used to override the configuration",
    )
    parser.add_argument(
        "--file-friendly-logging",
        action="store_true",
        default=False,
        help="outputs tqdm status on separate lines and slows tqdm refresh rate",
    )
