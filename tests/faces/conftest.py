"""The generated faces that several files look at, drawn once."""

from collections.abc import Iterator

import pytest
import torch
from drawn import Sample, draw


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    return draw(tmp_path_factory.mktemp("standin") / "set")


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
