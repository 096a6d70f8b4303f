from typing import Any, Dict, Iterator, MutableMapping


class SentenceMetadata(MutableMapping[str, Any]):
    """
    What is known of a sentence beside its tensors. It is a mapping but not a `dict`, because
    AllenNLP's trainer searches every word of every `dict` in a batch for tensors to move to the
    GPU, at every step.
    """

    def __init__(self, values: Dict[str, Any]) -> None:
        self._values = values

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._values[key] = value

    def __delitem__(self, key: str) -> None:
        del self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)

    def to_json(self) -> Dict[str, Any]:
        """For the predictions that `allennlp evaluate` writes."""
        return self._values
