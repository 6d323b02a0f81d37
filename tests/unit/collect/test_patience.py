"""Waiting for what comes late or never, with one timer for all who wait."""

import asyncio
from typing import NoReturn

import pytest

from onefold.collect.patience import Patience


async def _here(value: str) -> str:
    return value


async def _never() -> None:
    await asyncio.Event().wait()


async def _fails() -> NoReturn:
    raise ValueError("no")


async def _is_late(patience: Patience) -> None:
    with pytest.raises(TimeoutError):
        await patience.wait(_never())


def test_what_comes_in_time_is_given() -> None:
    """Whoever waits gets what comes, and its failures."""

    async def main() -> None:
        patience = Patience(60)
        assert await patience.wait(_here("a body")) == "a body"
        with pytest.raises(ValueError, match="no"):
            await patience.wait(_fails())

    asyncio.run(main())


def test_everybody_has_the_same_time() -> None:
    """All who have waited too long are called off, later ones too, and nobody else is."""

    async def main() -> None:
        patience, ended = Patience(0.01), list[int]()

        async def waits(number: int) -> None:
            await _is_late(patience)
            ended.append(number)

        for _ in range(2):  # the timer, having ended, runs again
            ended.clear()
            first = [asyncio.create_task(waits(number)) for number in (1, 2)]
            assert await patience.wait(_here("a body")) == "a body"
            await asyncio.gather(*first, waits(3))
            assert sorted(ended) == [1, 2, 3]

    asyncio.run(main())


def test_who_is_called_off_by_others_is_not_late() -> None:
    """A task that is cancelled ends as cancelled, at once."""

    async def main() -> None:
        begun = asyncio.Event()

        async def waits() -> None:
            begun.set()
            await _never()

        task = asyncio.create_task(Patience(60).wait(waits()))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_who_is_late_goes_on() -> None:
    """After its time is over a task is as any other."""

    async def main() -> None:
        await _is_late(Patience(0))
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()

    asyncio.run(main())


def test_another_loop_has_its_own_timer() -> None:
    """What was waited for on a loop that has ended does not keep others from being called off."""
    patience = Patience(0.01)
    assert asyncio.run(patience.wait(_here("a body"))) == "a body"
    asyncio.run(_is_late(patience))
