"""What a suite's report says first."""

from typing import Any, Dict, List, Mapping, Sequence, Tuple

from structkd_allennlp.suite.comparison import Comparison
from structkd_allennlp.suite.contrast_tables import findings
from structkd_allennlp.suite.contrasts import ContrastStatistics, against_baseline
from structkd_allennlp.suite.provenance import revisions
from structkd_allennlp.suite.repeated import Repeated
from structkd_allennlp.suite.tables import p_value, percent


def summary(
    comparison: Comparison, contrasts: Sequence[ContrastStatistics], repeated: Repeated
) -> List[str]:
    runs = comparison.results["runs"]
    sentences = []
    counts = {x: sum(run["status"] == x for run in runs) for x in ("done", "failed", "waiting")}
    if counts["done"] < len(runs):
        sentences.append(
            f"This report is partial: of {len(runs)} runs {counts['done']} done, "
            f"{counts['failed']} failed, {counts['waiting']} waiting."
        )
    sentences += _best(comparison, contrasts) + findings(contrasts)
    sentences += repeated_sentences(runs)
    if repeated.sentences and not repeated.any and not repeated.unknown:
        sentences.append("No test sentence is in the training data of any model.")
    return sentences + revisions(comparison)


def _best(comparison: Comparison, contrasts: Sequence[ContrastStatistics]) -> List[str]:
    best = comparison.best()
    if best is None:
        return []
    sentence = (
        f"The best student by its development score ({best.development:.2f}) is {best.name}, "
        f"with {best.spread(comparison.average)} on average on the test files"
    )
    own = against_baseline(comparison, contrasts).get(best.name)
    tested = own["languages"] if own else None
    if tested:
        sentence += f": {tested['difference']:+.2f} compared with {comparison.baseline.name}"
        if tested["low"] is not None and tested["high"] is not None:
            sentence += (
                f" ({tested['low']:+.2f} to {tested['high']:+.2f}, "
                f"p = {p_value(tested['corrected_p_value'])})".replace("= <", "<")
            )
        gap = comparison.gap_closed(best)
        if gap is not None:
            sentence += f", {percent(gap)} of the gap to its teachers"
    return [f"{sentence}."]


def repeated_sentences(runs: Sequence[Mapping[str, Any]]) -> List[str]:
    """A sentence for each test set, as far as it is also in what some models were trained on."""
    names: Dict[Tuple[Tuple[str, int, int], ...], Dict[str, None]] = {}
    for run in runs:
        found = tuple((x, *counts) for x, counts in run.get("repeated", {}).items() if counts[0])
        if found:
            names.setdefault(found, {})[run["row"] or f"teachers {run['group']}"] = None
    return [
        f"Of the test sentences, {', '.join(f'{n:,} of {of:,} in {x}' for x, n, of in found)} are "
        f"also in the labelled training data ({', '.join(own)}), so scores on them partly measure "
        "memory."
        for found, own in names.items()
    ]
