"""What arguments of several commands have in common."""

import argparse


def whole_number(text: str) -> int:
    """Of at least 1."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return number
