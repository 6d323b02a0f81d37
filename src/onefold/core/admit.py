"""Admit: a message counts once; what collect refused rests in quarantine; every event is counted somewhere."""

from onefold.core.batch import Incoming, Refused
from onefold.core.run import Run
from onefold.model.effect import RejectedEvent
from onefold.model.quarantined import Quarantined

NO_IDENTIFIER = "no usable identifier: each is missing, blocked, or malformed"


def admit(run: Run, incoming: Incoming) -> bool:
    """True where the event may pass; a duplicate is only counted, an event of nobody goes into quarantine."""
    fingerprint = incoming.fingerprint
    first_ms = run.messages.get(fingerprint) or run.seen.get(fingerprint)
    if first_ms is not None and first_ms >= max(run.forgotten_ms, incoming.received_ms - run.rules.dedupe_window_ms):
        run.count("duplicate")
        return False
    if not incoming.who.identifiers:
        quarantine(run, incoming.source, "no_identifier", NO_IDENTIFIER, body="")
        return False
    run.messages[fingerprint] = incoming.received_ms
    run.admitted += 1
    return True


def refuse(run: Run, refused: Refused) -> None:
    """Put into quarantine what can never be admitted."""
    run.at(refused.position, refused.received_ms)
    quarantine(run, refused.source, refused.kind, refused.reason, refused.body)


def quarantine(run: Run, source: str, kind: str, reason: str, body: str) -> None:
    """Keep an event that was not admitted, with the reason; an empty body is read from the log by its position."""
    run.count(f"quarantined.{kind}")
    run.quarantined.append(Quarantined(run.partition, run.position, source, run.now_ms, reason, body))
    run.effects.append(RejectedEvent(0, run.position, run.number(), run.now_ms, source, reason))
