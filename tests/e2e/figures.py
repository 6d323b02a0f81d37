"""The figures of an ordeal, for people to read: how much there was, and how soon all went on after a kill."""

from collections import Counter
from collections.abc import Iterator
from statistics import median

from tests.e2e.evidence import Evidence, Kill


def figures(evidence: Evidence, took_s: float) -> str:
    """Some lines of text."""
    tally, replay, victims = evidence.tally, evidence.replay, Counter(kill.victim for kill in evidence.kills)
    deliveries = len({hook.key for hook in evidence.hooks})
    names = ", ".join(f"{n} {name}" for name, n in victims.items())
    lines = [
        f"{len(evidence.kills)} kills ({names}) and {evidence.starts} starts of the platform in {took_s:.0f} s",
        f"{len(tally.messages):,} events in {len(tally.answered):,} requests, {len(tally.acknowledged):,} acknowledged",
        f"{tally.tries:,} tries; with what was sent again {replay['events']:,} events came into the log",
        f"{deliveries:,} deliveries by {len(evidence.hooks):,} webhooks, beside {evidence.failed_hooks:,} that failed",
        f"orphans ended within {max(evidence.orphans_s, default=0):.1f} s",
        "seconds after a kill (median, longest) until a new request is acknowledged, and until each partition's",
        "new events are delivered:",
    ]
    for victim in sorted(victims):
        kills = [kill for kill in evidence.kills if kill.victim == victim]
        again = [_spread([until(evidence, kill) for kill in kills]) for until in (_acknowledged_s, _delivered_s)]
        lines.append(f"  {victim:<12}{again[0]:<12}{again[1]}")
    return "\n".join(lines)


def _spread(seconds: list[float]) -> str:
    return f"{median(seconds):.1f}, {max(seconds):.1f}"


def _acknowledged_s(evidence: Evidence, kill: Kill) -> float:
    """Until a request is acknowledged that was begun after the kill."""
    return min(a.ended_s for a in evidence.tally.answered if a.begun_s >= kill.at_s) - kill.at_s


def _delivered_s(evidence: Evidence, kill: Kill) -> float:
    """Until each partition has had an event delivered that was first sent after the kill."""
    first: dict[str, float] = {}
    for partition, sent_s, at_s in _events(evidence):
        if sent_s >= kill.at_s:
            first[partition] = min(at_s, first.get(partition, at_s))
    return max(first.values()) - kill.at_s


def _events(evidence: Evidence) -> Iterator[tuple[str, float, float]]:
    """(partition, when first sent, when it came) of each webhook that carries an event."""
    for hook in evidence.hooks:
        if hook.payload["type"] == "event":
            partition = hook.key.removeprefix("msg_")[:2]
            yield partition, evidence.tally.first_s[hook.payload["data"]["event"]["messageId"]], hook.at_s
