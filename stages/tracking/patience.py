"""How long a tracking server may keep us waiting in all, whatever it does: refuse, hang, or drip."""

import threading
import time
from collections.abc import Callable
from typing import Any


class OutOfPatience(Exception):
    """The server took longer than a pipeline should wait for its bookkeeping."""


class Patience:
    """A budget of waiting, shared by all calls to one server.

    A call may take its `allowance` for nothing; what it takes beyond is paid from the budget. So a healthy
    server may be sent as much as there is, and a sick one costs `seconds` and one allowance at most: also where
    it keeps the connection open and sends a byte now and then, which no timeout of a socket notices.
    """

    def __init__(self, seconds: float) -> None:
        self.left = seconds

    def call(self, function: Callable[..., Any], *args: Any, allowance: float = 0.5, **kwargs: Any) -> Any:
        """Return what `function` returns, or raise what it raises; OutOfPatience when the budget is spent.

        The call goes on in a daemon thread after that, and does not keep the process alive.
        """
        result: list[Any] = []
        error: list[BaseException] = []

        def work() -> None:
            try:
                result.append(function(*args, **kwargs))
            except BaseException as caught:
                error.append(caught)

        start = time.monotonic()
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(allowance + self.left)
        if thread.is_alive():
            raise OutOfPatience
        self.left -= max(0.0, time.monotonic() - start - allowance)
        if error:
            raise error[0]
        return result[0]
