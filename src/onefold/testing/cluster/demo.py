"""`make cluster`: the simulated shop over Kafka, PostgreSQL and two of each role, parts of which are killed meanwhile.

In the end the platform comes to rest, every event and every delivery is accounted for, and what the cluster has made of
the log is held against what the embedded engine makes of it. Exits with 1 where an account does not close.
"""

import argparse
import asyncio
import signal
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Sequence
from types import FrameType

from rich.markup import escape

from onefold.cli import exits
from onefold.cli.demo import prepare, retail
from onefold.cli.printing import err, out, print_error
from onefold.demo import screen, stage
from onefold.demo.client import Target
from onefold.demo.measures import Measures
from onefold.demo.play import Options, Play
from onefold.demo.receiver import Receiver
from onefold.demo.stage import Spectators
from onefold.errors import OnefoldError
from onefold.runtime.defining.workspace import load_workspace
from onefold.testing.cluster.account import Evidence, Line, account
from onefold.testing.cluster.misfortunes import Misfortunes
from onefold.testing.cluster.rest import come_to_rest
from onefold.testing.cluster.run import TWO_OF_EACH, Cluster

BROKERS = 3
KEYS_WITHIN_S = 20.0
_WHERE = "two each of collect, worker, deliver, api; 3 Kafka brokers; PostgreSQL"
_LOG_SHOWN_CHARS = 3_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it as the arguments say; the exit code."""
    wanted = _parser().parse_args(arguments)
    _heed_signals()
    # The misfortunes say when it is over. Few questions a second: two cores have some twenty processes to run.
    sparing = {"probe_s": 1.0, "look_s": 1.0, "glance_s": 0.02}
    options = Options(wanted.rate, None, wanted.seed, **sparing, settle_s=wanted.settle_s)
    try:
        return _run(options, wanted.for_s)
    except OnefoldError as error:
        print_error(error)
        return exits.code_of(error)
    except KeyboardInterrupt:
        return exits.INTERRUPTED


def _run(options: Options, for_s: float) -> int:
    began_s = time.monotonic()
    err.print(f"[dim]starting {_WHERE}; the very first time this fetches Kafka, too[/]")
    with Cluster(TWO_OF_EACH, brokers=BROKERS) as cluster:
        err.print(f"[dim]ready after {time.monotonic() - began_s:.0f} s[/]")
        measures, evidence, verified = asyncio.run(_play(cluster, options, for_s))
        _heed_signals()
        if out.is_terminal:
            stage.retell(measures, out)
        screen.report(measures, out)
        fine = _reckon(cluster, evidence, verified) and not measures.trouble
        if not fine:
            err.print(cluster.log.read_text(errors="replace")[-_LOG_SHOWN_CHARS:], markup=False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        err.print("[dim]stopping Kafka and PostgreSQL, and removing their data[/]")
    return exits.OK if fine else exits.PROBLEM


async def _play(cluster: Cluster, options: Options, for_s: float) -> tuple[Measures, Evidence, Counter[str]]:
    measures, evidence, receiver = Measures(), Evidence(), Receiver()
    await receiver.start()
    try:
        write_key, secret_key, receiver.secrets = prepare(cluster.settings, load_workspace(retail()), receiver.url)
        target = Target(_urls(cluster, "collect"), _urls(cluster, "api"), write_key, secret_key)
        await asyncio.to_thread(_await_keys, target)
        play = Play(target, receiver, options, measures)
        play.on_sent, receiver.on_message = evidence.note, play.heard
        misfortunes = Misfortunes(cluster, measures, for_s)
        await stage.perform(play, measures, Spectators(out, err, _WHERE), misfortunes.run)
        await asyncio.to_thread(come_to_rest, cluster, options.settle_s)
    finally:
        await receiver.close()
    return measures, evidence, receiver.received


def _await_keys(target: Target) -> None:
    """Return once every role knows the new keys: each looks for news by itself, about twice a second.

    Raises `TimeoutError` where one does not learn of them.
    """
    deadline_s = time.monotonic() + KEYS_WITHIN_S
    documents = [f"{url}/v1/projects/{target.write_key}/settings" for url in target.collect]
    for url in [*documents, *(f"{url}/v1/profiles/user_id:nobody" for url in target.api)]:
        while not _knows(url, target.secret_key):
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"{url} does not know its key after {KEYS_WITHIN_S:.0f} s")
            time.sleep(0.05)


def _knows(url: str, secret_key: str) -> bool:
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {secret_key}"})  # noqa: S310 - our own
    try:
        with urllib.request.urlopen(request, timeout=5):  # noqa: S310 - our own
            return True
    except urllib.error.HTTPError as error:
        return error.code == 404
    except urllib.error.URLError:
        return False


def _urls(cluster: Cluster, verb: str) -> tuple[str, ...]:
    return tuple(cluster.roles.url(name) for name in cluster.roles.names if name.startswith(verb))


def _reckon(cluster: Cluster, evidence: Evidence, verified: Counter[str]) -> bool:
    """Print the account; whether all of it closes."""
    out.print("\n[bold]The account[/] [dim](all roles stopped; read from Kafka, PostgreSQL and the receiver)[/]")
    closes = True
    for line in account(cluster.place, evidence, verified):
        _show(line)
        closes &= line.closes
    verdict = "[green]✓ every account closes: nothing vanished, and the embedded engine makes the same of the log[/]"
    out.print(verdict if closes else "[bold red]✗ an account does not close[/]")
    return closes


def _show(line: Line) -> None:
    mark = "[green]✓[/]" if line.closes else "[bold red]✗[/]"
    out.print(f"{mark} [dim]{line.title:<11}[/]{escape(line.text)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="onefold.testing.cluster.demo", description=__doc__)
    parser.add_argument(
        "--for", dest="for_s", type=float, default=60.0, help="seconds to send events for, at least (60)"
    )
    parser.add_argument("--rate", type=float, default=20.0, help="events a second (20)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another shop")
    parser.add_argument(
        "--settle", dest="settle_s", type=float, default=60.0, help="seconds within which it must come to rest (60)"
    )
    return parser


def _heed_signals() -> None:
    """Also again after an event loop, which leaves them as they are by default."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)


def _leave(number: int, _frame: FrameType | None) -> None:
    """End by an exception, so that servers and roles are stopped on the way out."""
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
