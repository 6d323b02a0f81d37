"""Settings of a platform, in one frozen value: defaults, then `onefold.toml`, then ONEFOLD_* variables, then flags."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from onefold import limits
from onefold.errors import SettingsError

FILE_NAME = "onefold.toml"
_ENV_PREFIX = "ONEFOLD_"


SECRET = frozenset(
    {"database", "database_password", "kafka_options", "history_options", "sasl_password", "ssl_key_password"}
)
"""Settings that hold passwords, or may: they are not shown where settings are printed."""


class _Discreet(Struct, frozen=True, forbid_unknown_fields=True):
    """Settings that show no password, wherever they may be printed."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        fields = msgspec.structs.asdict(self).items()
        return [(name, "…" if value and name in SECRET else value) for name, value in fields]


class KafkaSecurity(_Discreet, frozen=True, forbid_unknown_fields=True):
    """How the brokers of `kafka` are reached: named as librdkafka names it, with `_` for `.`."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """`PLAINTEXT`, `SSL` (TLS), `SASL_SSL` (TLS and a password), `SASL_PLAINTEXT` (a password, and no TLS)."""
    ssl_ca_location: str = ""
    """File (PEM) of the authorities that vouch for the brokers; empty: those that the system trusts."""
    ssl_certificate_location: str = ""
    """File (PEM) of the client's certificate, where brokers want one."""
    ssl_key_location: str = ""
    """File (PEM) of that certificate's private key."""
    ssl_key_password: str = ""
    """Password of that file."""
    ssl_key_password_file: str = ""
    """File that holds this password, instead."""
    sasl_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = ""
    """`PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`, or `OAUTHBEARER` for tokens of an OpenID provider."""
    sasl_username: str = ""
    """The user; of `OAUTHBEARER` the client's id."""
    sasl_password: str = ""
    """The user's password; of `OAUTHBEARER` the client's secret."""
    sasl_password_file: str = ""
    """File that holds this password, instead."""
    sasl_oauthbearer_token_endpoint_url: str = ""
    """Where `OAUTHBEARER` gets its tokens (grant `client_credentials`)."""
    sasl_oauthbearer_scope: str = ""
    """Scope of these tokens."""
    sasl_oauthbearer_extensions: str = ""
    """What goes with the token, as `name=value,…`; Confluent Cloud wants `logicalCluster` and `identityPoolId`."""


class Settings(_Discreet, frozen=True, forbid_unknown_fields=True):
    """Every setting, with its unit in its name. `docs/settings.md` is made from this class."""

    data: Path = Path("onefold-data")
    """The directory that holds everything."""
    workspace: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,39}$")] = "default"
    """Name of the workspace: of its Kafka topic (`onefold.<workspace>`) and SQL schema (`onefold_<workspace>`)."""
    kafka: str = ""
    """Bootstrap servers of the Kafka that keeps the log, as `host:9092,…`; empty: it lies in the data directory."""
    kafka_options: dict[str, str] = {}
    """Further options of the Kafka client (librdkafka's names), such as `client.rack`; as a variable in JSON."""
    kafka_security: KafkaSecurity = KafkaSecurity()
    """TLS and passwords of these brokers: a section, see below."""
    database: str = ""
    """URL of the PostgreSQL that keeps state, deliveries and catalog, as `postgresql://user@host/name?sslmode=…`.

    Empty: the data directory keeps them. TLS and client certificates are the URL's own parameters (docs/postgres.md).
    """
    database_password: str = ""
    """Password for this URL, so that it needs none."""
    database_password_file: str = ""
    """File that holds this password, instead; each process reads it when it starts."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 to be reached from elsewhere."""
    port: int = 8090
    """Port of collect and of the API; 0: any free one."""
    health_port: int = 0
    """Port of `/healthz` and `/readyz` of a worker or deliver role that is started by itself; 0: there is none."""
    partitions: int = 0
    """Partitions of the log, fixed when it is made; 0: those that it has, or in a new one as many as workers."""
    workers: int = 1
    """Worker processes; each takes its share of the partitions."""
    worker_name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{0,200}$")] = ""
    """Name of `onefold worker` in its Kafka group: another of each process, and the same when it is started again.

    With it a worker that was killed has its partitions back as soon as it runs again; without, after 6 s. `serve` gives
    its workers such names.
    """
    collectors: int = 1
    """HTTP processes that share the port."""
    event_max_bytes: int = limits.EVENT_MAX_BYTES
    """Largest event, as JSON; the default of this and of the next is the Segment spec's."""
    batch_max_bytes: int = limits.BATCH_MAX_BYTES
    """Largest request, after inflating."""
    batch_max_events: int = limits.BATCH_MAX_EVENTS
    """Most events in one request."""
    import_max_bytes: int = limits.IMPORT_MAX_BYTES
    """Largest request to `/v1/import`, after inflating."""
    body_timeout_s: float = limits.BODY_TIMEOUT_S
    """Seconds within which the body of a request to collect must have come."""
    source_events_per_s: Annotated[float, Meta(ge=0)] = 0.0
    """Events a second that one source may send to one http process, beyond which it is answered 429; 0: any number."""
    source_burst_events: Annotated[int, Meta(ge=0)] = 0
    """Events that a source which has been quiet may send at once; 0: those of one second."""
    dedupe_window_s: Annotated[int, Meta(ge=1, le=limits.DEDUPE_WINDOW_MAX_MS // 1000)] = (
        limits.DEDUPE_WINDOW_MS // 1000
    )
    """For how long a messageId is remembered, at most 30 days; a second event with it is a duplicate.

    It is a rule: a start with another one writes that into the log, and it holds for what comes after.
    """
    log_retention_s: int = 7 * 24 * 3600
    """Records older than this are removed, once they are folded and delivered."""
    log_retention_bytes: int = 50 * 1024 * limits.MIB
    """The oldest records are removed beyond this size of the log, once they are folded and delivered."""
    effects_retention_s: int = 7 * 24 * 3600
    """Effects older than this are removed, once every destination has taken them."""
    history: bool = True
    """Whether every admitted event is kept in columnar tables (docs/history.md).

    Without them there are no queries, previews or backfills, and no event can be shown once the log has let it go.
    What was admitted meanwhile is missing later, too, as far as the log no longer has it.
    """
    history_location: str = ""
    """Directory or URL (`s3://bucket/path`) of these tables; empty: `history` in the data directory.

    Where nothing else lies in a data directory there is no history without it.
    """
    history_options: dict[str, str] = {}
    """Options of the table library for object storage, such as `AWS_REGION`; as a variable in JSON."""
    history_flush_s: Annotated[float, Meta(gt=0)] = 5.0
    """Seconds after which an admitted event is written there at the latest."""
    history_keep_days: dict[str, Annotated[int, Meta(ge=1)]] = {}
    """For how many days of event time history keeps events, by name (`page`, `identify`, … for those without one).

    `*` is for all that are not named, and for moves in and out of audiences; whatever is not named, and where there is
    no `*`, is kept for ever.
    """
    matching: bool = False
    """Whether profiles that no identifier joins are compared by what is known of them (docs/matching.md)."""
    matching_link: Annotated[float, Meta(ge=0.5, le=1)] = 0.95
    """From this probability on, two profiles are held to be one person without asking anybody."""
    matching_review: Annotated[float, Meta(ge=0.01, le=1)] = 0.6
    """From this probability on, two profiles wait in the queue of `onefold identity review`."""
    pending_retention_s: Annotated[int, Meta(ge=60)] = limits.DELIVERY_PENDING_S
    """Deliveries that have waited for longer are given up and counted as `filtered.expired`; at least 60."""
    parked_retention_s: Annotated[int, Meta(ge=60)] = limits.DELIVERY_PARKED_S
    """Deliveries that have been parked for longer are forgotten and counted as `filtered.expired`; at least 60."""
    disk_reserve_bytes: int = limits.DISK_RESERVE_BYTES
    """Collect answers 503 while less of the disk than this is free."""
    behind_max_events: int = 5_000_000
    """Collect answers 503 while the workers are this many events behind."""
    blocked_identifiers: tuple[str, ...] = (
        "", "0", "-1", "null", "none", "undefined", "nan", "anonymous", "unknown", "n/a", "true", "false",
        "[object object]", "test@test.com", "test@example.com", "00000000-0000-0000-0000-000000000000",
    )  # fmt: skip
    """Values that identify nobody, compared without case; they stay in the event but link nothing.

    It is a rule, as `dedupe_window_s` is.
    """
    phone_region: str = ""
    """Region (ISO 3166, e.g. DE) of phone numbers without a country code; empty: such numbers are not identifiers.

    It is a rule, as `dedupe_window_s` is.
    """
    log_level: str = "info"
    """debug, info, warning or error."""

    @property
    def keeps_history(self) -> bool:
        """There is history, and a place for it."""
        return self.history and bool(self.history_location or not (self.kafka and self.database))


_DEFAULTS = msgspec.structs.asdict(Settings())
SECTIONS = {name: type(value) for name, value in _DEFAULTS.items() if isinstance(value, Struct)}
"""Settings that are tables in a file, and as variables have a name for each of their own: section → its class."""


def load(flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from all four places; a flag of None was not given. Raises `SettingsError` naming the culprit."""
    flags = {k: v for k, v in (flags or {}).items() if v is not None}
    values: dict[str, Any] = {}
    data = Path(str(flags.get("data") or environ.get(_ENV_PREFIX + "DATA") or "onefold-data"))
    for file in (Path(FILE_NAME), data / FILE_NAME):
        if file.is_file():
            values |= _over(values, _read(file))
    values |= _over(values, _said_by(environ))
    values |= flags
    values["data"] = data
    try:
        return msgspec.convert(values, Settings, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{error}; see docs/settings.md") from error


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file}: {error}") from error


def _over(below: Mapping[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Stronger settings; what their sections do not name is as it was."""
    both = {name for name in SECTIONS if isinstance(below.get(name), dict) and isinstance(above.get(name), dict)}
    return above | {name: below[name] | above[name] for name in both}


def _said_by(environ: Mapping[str, str]) -> dict[str, Any]:
    """Settings that are variables."""
    values: dict[str, Any] = {}
    for name, default in _DEFAULTS.items():
        variable = _ENV_PREFIX + name.upper()
        if name in SECTIONS:
            inner = {field: environ.get(f"{variable}_{field.upper()}") for field in SECTIONS[name].__struct_fields__}
            if given := {field: text for field, text in inner.items() if text is not None}:
                values[name] = given
        elif (text := environ.get(variable)) is not None:
            values[name] = _mapping(name, text) if isinstance(default, dict) else text
    return values


def _mapping(name: str, text: str) -> dict[str, str | int]:
    try:
        return msgspec.json.decode(text, type=dict[str, str | int])
    except msgspec.MsgspecError as error:
        raise SettingsError(f"{_ENV_PREFIX}{name.upper()} is not a JSON object: {error}") from error


def _path(kind: type, value: Any) -> Any:
    return kind(value)
