"""What an import of this or that part of the package brings with it."""

import json
import subprocess
import sys

import pytest


def modules_after(code: str) -> set[str]:
    """The packages that are loaded in a new process that has run this."""
    code += """
import json, sys
print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_a_chain_needs_nothing_of_allennlp():
    loaded = modules_after("from structkd_allennlp.modules.linear_chain import LinearChain")
    assert "torch" in loaded
    assert not loaded & {"allennlp", "allennlp_models", "spacy", "transformers"}


@pytest.mark.parametrize(
    "how",
    [
        "import structkd_allennlp.registrables",
        "from structkd_allennlp import StructureKD",
        # As scripts and plugin files from before there was `registrables` have it.
        "import allennlp, structkd_allennlp",
        # As `--include-package` does, also without what is optional.
        "import sys; sys.modules['ray'] = None\n"
        "from allennlp.common.util import import_module_and_submodules as walk\n"
        "walk('structkd_allennlp')",
    ],
)
def test_everything_is_registered(how):
    check = """
from allennlp.commands.subcommand import Subcommand
from allennlp.data import DatasetReader
from allennlp.models import Model
from allennlp.predictors import Predictor
Model.by_name("structure_kd"), Predictor.by_name("structured_tagger")
DatasetReader.by_name("multilingual"), Subcommand.by_name("distillation-targets")
"""
    loaded = modules_after(how + check)
    assert "allennlp" in loaded
    # Plots are drawn by few.
    assert "matplotlib" not in loaded


def test_a_name_that_there_is_not():
    with pytest.raises(ImportError, match="StructureKDD"):
        from structkd_allennlp import StructureKDD  # noqa: F401
