"""Flink's counts: SQL through PyFlink, which the JVM runs alone, in one task slot, with checkpoints."""

import json
import sys
from pathlib import Path

from pyflink.table import EnvironmentSettings, TableEnvironment

SETTINGS = {
    "parallelism.default": "1",
    "execution.checkpointing.interval": "10 s",
    "table.local-time-zone": "UTC",
}
EVENTS = """CREATE TABLE events (anonymousId STRING, `timestamp` TIMESTAMP_LTZ(3),
    WATERMARK FOR `timestamp` AS `timestamp` - INTERVAL '10' MINUTE)
    WITH ('connector' = 'filesystem', 'path' = '{file}', 'format' = 'json',
          'json.timestamp-format.standard' = 'ISO-8601')"""
LIFETIME = "CREATE TABLE lifetime (k STRING, n BIGINT) WITH ('connector' = 'blackhole')"
HOURS = """CREATE TABLE hours (k STRING, begins TIMESTAMP(3), n BIGINT)
    WITH ('connector' = 'filesystem', 'path' = '{out}', 'format' = 'csv')"""
COUNT = "INSERT INTO lifetime SELECT anonymousId, COUNT(*) FROM events GROUP BY anonymousId"
COUNT_BY_HOUR = """INSERT INTO hours SELECT anonymousId, window_start, COUNT(*)
    FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(`timestamp`), INTERVAL '1' HOUR))
    GROUP BY anonymousId, window_start, window_end"""


def main(file: Path, scratch: Path) -> None:
    """Count, say what came out, and wait. A black hole does not say what it was told: that is the file's own count."""
    out = scratch / "hours"
    environment = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    for name, value in SETTINGS.items():
        environment.get_config().set(name, value)
    checkpoints = (scratch / "checkpoints").as_uri()
    environment.get_config().set("execution.checkpointing.dir", checkpoints)
    for statement in (EVENTS.format(file=file.as_uri()), LIFETIME, HOURS.format(out=out.as_uri())):
        environment.execute_sql(statement)
    both = environment.create_statement_set()
    both.add_insert_sql(COUNT)
    both.add_insert_sql(COUNT_BY_HOUR)
    both.execute().wait()
    rows = [line.rsplit(",", 1)[1] for part in out.glob("**/part-*") for line in part.read_text().splitlines()]
    with file.open("rb") as lines:
        read = sum(1 for _ in lines)
    print(json.dumps({"lifetime": read, "hours": sum(map(int, rows)), "keys": None}), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
