from collections.abc import Iterator

import pytest
import torch
from blobs import blobs, config

from fer_core.synthesis.train import Synthesiser, train_gan


@pytest.fixture(autouse=True, scope="session")
def on_the_cpu() -> Iterator[None]:
    """Byte-identical results are promised on the CPU; networks as tiny as these are slower on several threads."""
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        torch.set_num_threads(1)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def learnt(on_the_cpu: None, tmp_path_factory: pytest.TempPathFactory) -> Synthesiser:
    """A GAN that was trained on 80 and 16 blobs."""
    return train_gan(blobs([80, 16]), 2, config(), seed=0, work=tmp_path_factory.mktemp("learnt"))
