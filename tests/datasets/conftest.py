from pathlib import Path

import pytest
from made_up_sets import write_fer2013, write_rafce


@pytest.fixture
def rafce_folder(tmp_path: Path) -> Path:
    return write_rafce(tmp_path / "rafce")


@pytest.fixture
def fer_folder(tmp_path: Path) -> Path:
    return write_fer2013(tmp_path / "fer2013")
