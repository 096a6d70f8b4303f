from typing import Dict

import pytest

from tests.data.dataset_readers import write


@pytest.fixture
def two(tmp_path) -> Dict[str, str]:
    return {"en": write(tmp_path / "en.txt", 2), "es": write(tmp_path / "es.txt", 4)}
