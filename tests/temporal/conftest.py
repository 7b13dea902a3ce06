from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True, scope="module")
def on_the_cpu() -> Iterator[None]:
    """Byte-identical results are promised on the CPU; networks as tiny as these are slower on several threads."""
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        torch.set_num_threads(1)
        yield
    torch.set_num_threads(before)
