"""Whatever a stage does when memory runs out, its user reads one sentence."""

from collections.abc import Callable

import pytest
import torch
import typer

from stages.lib.common import stage


def failing(error: Exception) -> Callable[..., None]:
    @stage
    def command(debug: bool = False) -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore."),
            "Tried to allocate 2.00 GiB.",
        ),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "can't allocate memory"),
        (MemoryError(), "memory ran out: MemoryError."),
    ],
    ids=["gpu", "cpu", "numpy"],
)
def test_it_is_one_sentence(error: Exception, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as stopped:
        failing(error)()
    assert stopped.value.exit_code == 1
    written = capsys.readouterr().err
    assert told in written and "lower `batch_size`" in written and len(written.splitlines()) == 1
    with pytest.raises(type(error)):
        failing(error)(debug=True)


def test_other_errors_keep_their_traceback() -> None:
    with pytest.raises(RuntimeError, match="something else"):
        failing(RuntimeError("something else"))()
