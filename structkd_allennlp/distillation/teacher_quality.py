"""Whether an archived tagger is fit to teach."""

import logging
from pathlib import Path
from typing import Any, List

import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError

from structkd_allennlp.common.files import read_json

logger = logging.getLogger(__name__)


def check_finite(tagger: torch.nn.Module) -> None:
    """Raises `ConfigurationError` for weights that are infinite or not a number."""
    wrong = [name for name, x in tagger.named_parameters() if not torch.isfinite(x).all()]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ConfigurationError(
            f"its weights {', '.join(wrong[:3])}{more} are not finite numbers. Its training has "
            "diverged: train it again, e.g. with a lower learning rate"
        )


def warn_if_worthless(archive: str, config: Params) -> None:
    """
    Logs a warning about a teacher that found nothing in its own validation data, where training has
    left its metrics beside the archive.
    """
    path = Path(archive)
    if path.name != "model.tar.gz" and not path.is_dir():
        return
    try:
        metrics = read_json((path if path.is_dir() else path.parent) / "metrics.json")
    except (OSError, ValueError):
        return
    own: Any = config.params.get("trainer", {}).get("validation_metric", "-loss")
    names: List[str] = [own] if isinstance(own, str) else own
    names = [*names, "+f1-measure/macro", "+f1-measure-overall"]
    for name in names:
        score = metrics.get(f"best_validation_{name[1:]}")
        if name.startswith("+") and score is not None and not score > 0:
            logger.warning(
                "teacher %s is worthless: its best %s on its own validation data is %s. Train it "
                "longer, or on more data, before you distil it",
                archive,
                name[1:],
                score,
            )
            return
