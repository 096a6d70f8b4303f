import pytest

from structkd_allennlp.serving import Tagger
from structkd_allennlp.serving.export.exporter import export_tagger


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """The directory of an exported tagger."""
    directory = tmp_path_factory.mktemp("exported") / "en"
    export_tagger("fixtures/teachers/en.tar.gz", directory)
    return directory


@pytest.fixture(scope="session")
def tagger(exported):
    return Tagger.load(exported, threads=1)
