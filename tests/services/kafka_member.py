"""A member of the workers' group as a process, for tests that stop it: `kafka_member.py BOOTSTRAP WORKSPACE NAME`.

Each time its partitions have changed it prints them, as a line of JSON. With `hold` as a fourth argument it never ends
what it has begun in those that it had first.
"""

import json
import sys
import time

from onefold.runtime import logs
from onefold.storage.kafka.client import KafkaOptions
from onefold.storage.kafka.group import KafkaMembership


def main() -> None:
    """Run until killed."""
    logs.configure("info", role="member")
    member = KafkaMembership(KafkaOptions(sys.argv[1], sys.argv[2]), sys.argv[3])
    said: list[int] | None = None
    holds = sys.argv[4:] == ["hold"]
    while True:
        if (now := sorted(member.partitions())) != said:
            said = now
            sys.stdout.write(json.dumps(said) + "\n")
            sys.stdout.flush()
        if holds and said:
            member.hold(frozenset(said))
            holds = False
        time.sleep(0.005)


if __name__ == "__main__":
    main()
