"""The demo's client against a real HTTP server that refuses, hangs up and takes, as it is told."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from aiohttp import web

from onefold.demo.client import Client, Sending, Target
from onefold.demo.shop import Event
from onefold.errors import StorageError

EVENTS: list[Event] = [{"type": "track", "messageId": "1"}]
AT_ONCE = {"retry-after": "0"}


class Server:
    """Answers requests one after the other from a list: a status with a code, or nothing at all (0)."""

    def __init__(self, *answers: tuple[int, str]) -> None:
        self.answers = [*answers]
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Give the next answer, the last one for ever."""
        await request.read()
        self.asked.append(request.path)
        status, code = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if status == 0:
            assert request.transport is not None
            request.transport.close()
        return web.json_response({"code": code}, status=status or 200, headers=AT_ONCE)


def run(servers: list[Server], use: Callable[[Client], Coroutine[Any, Any, Any]]) -> Any:
    """What `use` makes of a client of these servers, which collect and answer alike."""

    async def all_of_it() -> Any:
        runners, urls = [], []
        for server in servers:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", server.answer)
            runners.append(web.AppRunner(app, access_log=None))
            await runners[-1].setup()
            await web.TCPSite(runners[-1], "127.0.0.1", 0).start()
            urls.append(f"http://127.0.0.1:{runners[-1].addresses[0][1]}")
        try:
            async with Client(Target(tuple(urls), tuple(urls), "wk", "sk")) as client:
                return await use(client)
        finally:
            for runner in runners:
                await runner.cleanup()

    return asyncio.run(all_of_it())


def sent(*servers: Server) -> Sending:
    """How a batch came to be acknowledged."""
    found: Sending = run([*servers], lambda client: client.send(EVENTS))
    return found


def test_what_is_refused_is_sent_again_elsewhere() -> None:
    """A server that is overloaded has taken nothing; the next one is asked."""
    full, free = Server((503, "overloaded")), Server((200, ""))
    found = sent(full, free)
    assert (found.refused, found.unsure) == (1, 0)
    assert full.asked == free.asked == ["/v1/batch"]


@pytest.mark.parametrize("answer", [(503, "unavailable"), (503, "storage"), (0, "")])
def test_what_may_have_been_taken_is_known_to_be_unsure(answer: tuple[int, str]) -> None:
    """Where storage failed or no answer came, nobody knows; it is sent again all the same."""
    found = sent(Server(answer, (200, "")))
    assert (found.refused, found.unsure) == (1, 1)


def test_a_wrong_request_is_not_sent_again() -> None:
    """What the platform says is wrong will not be right the next time."""
    server = Server((401, "unauthorized"))
    with pytest.raises(StorageError, match="401"):
        sent(server)
    assert len(server.asked) == 1


def test_the_api_is_asked_until_it_answers() -> None:
    """A 503 and a connection that ends are no answers; a 404 is one: there is no such profile."""
    away, there = Server((503, "unavailable"), (0, "")), Server((0, ""), (404, "not_found"))
    assert run([away, there], lambda client: client.profile("user_id:1")) is None
    assert set(away.asked) == set(there.asked) == {"/v1/profiles/user_id:1"}
