"""A tagged sentence in a terminal."""

from typing import Any, Dict

from rich.console import Console
from rich.text import Text

OUTSIDE = "O"


def print_sentence(console: Console, result: Dict[str, Any]) -> None:
    """Its words, each with its tag in the colour of its probability; entities; other sequences."""
    line = Text()
    tagged = zip(result["words"], result["tags"], result["tag_probabilities"], strict=True)
    for word, tag, probability in tagged:
        line.append(printable(word), "bold" if tag != OUTSIDE else "")
        if tag != OUTSIDE:
            line.append(f"/{printable(tag)}", _style(probability))
        elif probability < _SURE:
            line.append("?", _style(probability))
        line.append(" ")
    line.rstrip()
    console.print(line)
    for entity in result["entities"]:
        row = Text("  ")
        row.append(f"{entity['probability']:7.1%} ", _style(entity["probability"]))
        row.append(f"{printable(entity['label'])}  ", "bold")
        row.append(printable(entity["text"]))
        if "start_char" in entity:
            row.append(f"  {entity['start_char']}-{entity['end_char']}", "dim")
        console.print(row)
    if len(result["top_k"]) > 1:
        for rank, sequence in enumerate(result["top_k"], start=1):
            row = Text(f"  {rank}. {sequence['probability']:7.2%}  ", "dim")
            row.append(printable(" ".join(sequence["tags"])))
            console.print(row)
    console.print()


_SURE = 0.9
_DOUBTFUL = 0.6


def _style(probability: float) -> str:
    if probability >= _SURE:
        return "green"
    return "yellow" if probability >= _DOUBTFUL else "red"


def printable(text: str) -> str:
    """Without what a terminal would obey: text may hold escape sequences."""
    if text.isprintable():
        return text
    return "".join(x if x.isprintable() or x == "\u200d" else "\ufffd" for x in text)
