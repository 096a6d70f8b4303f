"""Students that start from weights of another model."""

import logging
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional

from allennlp.common.checks import ConfigurationError
from allennlp.common.util import is_global_primary
from allennlp.nn import Initializer, InitializerApplicator
from allennlp.nn.initializers import PretrainedModelInitializer
from allennlp_models.tagging.models.crf_tagger import CrfTagger
from torch import Tensor

from structkd_allennlp.common.files import write_text
from structkd_allennlp.modules.named_weights import (
    Aligned,
    LayerMap,
    NamedWeights,
    aligned,
    check_layer_map,
    source_names,
)
from structkd_allennlp.training.initializer_sources import weights_of_source, weights_of_tagger

logger = logging.getLogger(__name__)

TABLE_NAME = "initialization.txt"
"""The file in the serialization directory that lists what was copied."""


class _Line(NamedTuple):
    """What became of a weight; `its` is the name of its counterpart."""

    result: str
    own: str
    its: Optional[str]
    note: str

    def in_layers(self, own: NamedWeights, its: NamedWeights) -> "_Line":
        """Names the layer instead, if the weight is of one."""
        return self._replace(own=_in_layer(self.own, own), its=_in_layer(self.its or "", its))


@Initializer.register("copied")
class CopiedInitializer(PretrainedModelInitializer):
    """
    Copies weights from another model: a finished AllenNLP tagger, or a Hugging Face model. Where
    AllenNLP's `pretrained` wants the same names and shapes, this one makes them the same first:

    - Rows of embeddings go by their token, those of the tag projection and of the CRF's transitions
      by their label; what only the student knows keeps its own start.
    - A transformer goes into the student's, whatever it is called, by a map of layers.
    - Anything else, such as an LSTM, goes where name and shape agree.

    What was copied, skipped and mismatched is listed once, in the log and in `initialization.txt`
    in the serialization directory.

    For a `structured_crf_tagger`, on its own or as the student of a `structure_kd`. Its parameter
    `initializer` says which weights to copy, and may name several sources:

    ```
    "initializer": {"regexes": [
        [".*", {"type": "copied", "source": "out/teacher/model.tar.gz", "layers": "every_second"}]
    ]}
    ```

    AllenNLP leaves initializers out of what it loads from an archive, so a finished model does not
    need the source.

    Registered as an `Initializer` with name "copied".

    # Parameters

    source : `str`
        A `model.tar.gz` or a serialization directory of a tagger, or a directory or name of a
        Hugging Face model: a bare encoder, a masked language model (its encoder) or a token
        classifier (its head, too).
    layers : `LayerMap`, optional (default = `None`)
        Which layer of the source's transformer each layer of the student's gets, numbered from 1;
        needed where they have not the same number of layers.
    frozen : `bool`, optional (default = `False`)
        Whether what is copied as a whole is not trained. Weights copied in part always are.
    parameter_name_overrides : `Dict[str, str]`, optional (default = `None`)
        The name in the source for names in the tagger that are not found by the rules above.

    # Raises

    `ConfigurationError` for a source that is missing or cannot be loaded, for a map of layers that
    does not fit, and where nothing is copied.
    """

    def __init__(
        self,
        source: str,
        layers: Optional[LayerMap] = None,
        frozen: bool = False,
        parameter_name_overrides: Optional[Dict[str, str]] = None,
    ) -> None:
        # The parent's reads the weights at once, by names that are known only later.
        check_layer_map(layers)
        self.source = source
        self.layers = layers
        self.frozen = frozen
        self.parameter_name_overrides = parameter_name_overrides or {}
        self._own = self._its = NamedWeights({}, {})
        self._names: Dict[str, Optional[str]] = {}
        self._lines: List[_Line] = []

    def begin(self, tagger: CrfTagger) -> None:
        """Loads the source, for a tagger that its parameters are about to be copied to."""
        self._own, self._its = weights_of_tagger(tagger), weights_of_source(self.source)
        try:
            self._names = source_names(self._own, self._its, self.layers)
        except ConfigurationError as error:
            raise ConfigurationError(f"copying from {self.source}: {error.message}") from error
        for own, its in self.parameter_name_overrides.items():
            for name, known, whose in ((own, self._own, "student"), (its, self._its, "source")):
                if name not in known.weights:
                    raise ConfigurationError(
                        f"copying from {self.source}: parameter_name_overrides names {name!r}, "
                        f"which the {whose} does not have; it has {list(known.weights)}"
                    )
            self._names[own] = its
        self._lines = []

    def __call__(self, tensor: Tensor, parameter_name: str, **kwargs: Any) -> None:  # type: ignore[override]
        if not self._own.weights:
            raise ConfigurationError(
                'the initializer "copied" is for a structured_crf_tagger, alone or as the student '
                "of a structure_kd"
            )
        if parameter_name not in self._own.weights:
            return
        its = self._names[parameter_name]
        if its is None:
            found = Aligned("skipped", "no layer is mapped to it")
        else:
            found = aligned(self._own.weights[parameter_name], self._its.weights.get(its))
        if found.values is not None:
            tensor.data.copy_(found.values)
        whole = found.result == "copied"
        if whole and self.frozen:
            tensor.requires_grad_(False)
        result = "frozen" if whole and self.frozen else found.result
        self._lines.append(_Line(result, parameter_name, its, found.note))

    def end(self) -> str:
        """
        Lets go of the source.

        # Returns

        `str` : a table of what was copied and what was not.

        # Raises

        `ConfigurationError` where nothing was copied.
        """
        own, its, lines = self._own, self._its, self._lines
        self._own = self._its = NamedWeights({}, {})
        copied = [line for line in lines if line.result not in ("mismatched", "skipped")]
        known = {line.its for line in lines}
        left = [_Line("unused", name, name, "") for name in its.weights if name not in known]
        shown = [line.in_layers(own, its) for line in lines]
        table = _table(shown + [line.in_layers(its, its) for line in left])
        if not copied:
            raise ConfigurationError(
                f"nothing is copied from {self.source}: correct the source, the regex of the "
                "initializer or its parameter_name_overrides, or make the student like the source. "
                f"What the student looked for, and what the source has (unused):\n{table}"
            )
        return f"copied from {self.source}:\n{table}"


def initialize(tagger: CrfTagger, initializer: InitializerApplicator) -> None:
    """
    Applies initializers to a tagger. Those that copy need to know all of it, while AllenNLP shows
    them one parameter at a time.
    """
    copying = [one for _, one in initializer._initializers if isinstance(one, CopiedInitializer)]
    for one in copying:
        one.begin(tagger)
    initializer(tagger)
    tables = [one.end() for one in copying]
    for table in tables:
        logger.info(table)
    if tables and tagger.serialization_dir is not None and is_global_primary():
        directory = Path(tagger.serialization_dir)
        directory.mkdir(parents=True, exist_ok=True)
        write_text(directory / TABLE_NAME, "\n\n".join(tables) + "\n")


def _in_layer(name: str, weights: NamedWeights) -> str:
    for stack in weights.transformers.values():
        place = stack.place(name)
        if place is not None:
            return stack.name(place[0], "*")
    return name


def _table(lines: List[_Line]) -> str:
    """One line for all weights of a layer with which the same was done."""
    counts = Counter(lines)
    names = max(len(line.own) for line in counts)
    rows = []
    for (result, own, its, note), count in counts.items():
        from_ = f"<- {its}" if its not in ("", own) else ""
        number = f"{count} weights" if own.endswith("*") else ""
        rest = "  ".join(part for part in (from_, note, number) if part)
        rows.append(f"  {result:10}  {own:{names}}  {rest}".rstrip())
    return "\n".join(rows)
