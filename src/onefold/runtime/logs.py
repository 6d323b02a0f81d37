"""How every process of the platform writes its log: lines for people on a terminal, JSON for machines elsewhere."""

import logging
import sys

import structlog


def configure(level: str, *, role: str) -> None:
    """Send structlog's lines to stderr, each with the role that wrote it. `level` is a name, such as `info`."""
    threshold = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    terminal = sys.stderr.isatty()
    shown: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if terminal:
        shown = structlog.dev.ConsoleRenderer(pad_event_to=30, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if terminal else "iso", utc=not terminal),
            structlog.processors.StackInfoRenderer(),
            *([] if terminal else [structlog.processors.format_exc_info]),
            shown,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(role=role)
    logging.basicConfig(level=max(threshold, logging.WARNING), format="%(name)s: %(message)s", stream=sys.stderr)
