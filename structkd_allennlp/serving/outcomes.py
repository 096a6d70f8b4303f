"""What comes of sentences that are tagged together, where some may be at fault."""

from typing import List, NamedTuple, Optional, Sequence, Union

from structkd_allennlp.common.requests import Request
from structkd_allennlp.common.text import quoted
from structkd_allennlp.serving.tagger import Result, Tagger

TOKENS_PER_BATCH = 8192
"""As many as pass through a model together."""

_BYTES_PER_TOKEN = 4
"""Of raw text, in UTF-8, whatever the script: enough to put sentences of a length together."""


class Asked(NamedTuple):
    """What is asked of the tagger for each sentence."""

    top_k: int = 1
    marginals: bool = False


def outcomes_of(
    tagger: Tagger, requests: Sequence[Request], asked: Asked
) -> List[Union[Result, str]]:
    """What the tagger says of each sentence, or why it says nothing."""
    try:
        return [*tagger.tag_requests(requests, *asked)]
    # onnxruntime has exceptions of its own, such as for want of memory.
    except Exception as error:
        if len(requests) > 1:
            # One of them is at fault, or all together are too many.
            middle = len(requests) // 2
            halves = requests[:middle], requests[middle:]
            return [outcome for half in halves for outcome in outcomes_of(tagger, half, asked)]
        if isinstance(error, ValueError):
            return [str(error)]
        return [f"it cannot be tagged ({type(error).__name__}: {quoted(str(error))})"]


def length_of(request: Optional[Request]) -> int:
    """In tokens, about."""
    if request is None:
        return 1
    if isinstance(request.sentence, str):
        return len(request.sentence.encode()) // _BYTES_PER_TOKEN + 1
    return len(request.sentence)
