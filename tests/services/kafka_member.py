"""A member of the workers' group as a process, for tests that stop it: `kafka_member.py BOOTSTRAP WORKSPACE NAME`.

Each time its partitions have changed it prints them, as a line of JSON.
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
    while True:
        if (now := sorted(member.partitions())) != said:
            said = now
            sys.stdout.write(json.dumps(said) + "\n")
            sys.stdout.flush()
        time.sleep(0.005)


if __name__ == "__main__":
    main()
