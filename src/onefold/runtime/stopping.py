"""How a role that lives in one thread learns that it is to stop."""

import signal
from collections.abc import Callable

from onefold.runtime.bell import Rest


def stop_signals(rest: Rest) -> Callable[[], bool]:
    """Whether SIGTERM or SIGINT has come; either ends the rest."""
    stop = False

    def on_signal(_number: int, _frame: object) -> None:
        nonlocal stop
        stop = True
        rest.wake()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    return lambda: stop
