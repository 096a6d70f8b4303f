"""The model card of an exported tagger."""

from typing import Any, Dict, List

_CARD = """---
{front}---

# {name}

A sequence tagger for {languages}, exported from an AllenNLP archive by structkd_allennlp. It needs
neither AllenNLP nor PyTorch:

```
pip install --no-deps -r requirements-serving.txt
pip install --no-deps structkd_allennlp
structkd tag {name} FILE
```

```python
from structkd_allennlp.serving import Tagger

tagger = Tagger.load("{name}")
tagger.tag(["A sentence."]{language})
```

## What it is

{facts}

{labels}

## How good it is

{scores}

## Intended use

It labels {unit} in text of the languages above that is like its
training data: the same genre, the same conventions. Expect it to be worse elsewhere, and look at
the probabilities, which say how sure it is: those of tags, of entities and of whole sequences are
exact under the model, and no better calibrated than it is. Do not use it as the only ground of a
decision about a person.

## Data and licences

{licence}

## Where it comes from

{origin}
"""


def model_card(name: str, info: Dict[str, Any]) -> str:
    """
    # Parameters

    name : `str`
        Of the directory.
    info : `Dict[str, Any]`
        As in `Tagger.info`.
    """
    languages: List[str] = info["languages"]
    known = ", ".join(languages) or "languages that its archive does not name"
    front = "library_name: structkd_allennlp\npipeline_tag: token-classification\n"
    if languages:
        front = f"language: [{', '.join(languages)}]\n" + front
    quantised = info["quantised"]
    facts = [
        f"- {info['kind']}, {info['parameters']:,} parameters, {info['graph_size'] / 1e6:.1f} MB"
        + (f" ({quantised['type']})" if quantised else ""),
        f"- {len(info['labels'])} labels"
        + (f" in {info['label_encoding']}" if info["label_encoding"] else ""),
    ]
    return _CARD.format(
        name=name,
        front=front,
        languages=known,
        language=f', language="{languages[0]}"' if languages else "",
        facts="\n".join(facts),
        labels="Labels: " + ", ".join(f"`{label}`" for label in info["labels"]) + ".",
        scores=_scores(info),
        unit="the spans that its label encoding stands for" if info["spans"] else "tokens",
        licence=info["licence"],
        origin="\n".join(
            f"- {what}: {value}"
            for what, value in (
                ("archive", f"`{info['archive']}`, SHA-256 `{info['archive_digest']}`"),
                ("revision of structkd_allennlp", f"`{info['revision'] or 'unknown'}`"),
                ("compared with its archive", _compared(info)),
            )
        ),
    )


def _scores(info: Dict[str, Any]) -> str:
    metrics: Dict[str, float] = info["metrics"]
    if not metrics:
        return "Its archive has no `metrics.json` beside it that says so."
    rows = "\n".join(f"| {name} | {value:.4f} |" for name, value in metrics.items())
    return f"From the `metrics.json` of its training run:\n\n| metric | |\n|---|---|\n{rows}"


def _compared(info: Dict[str, Any]) -> str:
    own = info["comparison"]
    text = (
        f"on {own['sentences']} sentences, {own['words']:,} words; scores differ by up to "
        f"{own['difference']:.1e}"
    )
    if info["quantised"]:
        changed = info["quantised"]["changed"]
        return f"{text} before quantisation, which changes {changed} of {own['words']:,} tags"
    return f"{text}, tags not at all"
