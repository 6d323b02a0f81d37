"""The name of a host in one spelling, so that a list of hosts and the host of a URL can be compared."""

from contextlib import suppress
from functools import lru_cache
from ipaddress import ip_address


@lru_cache(1_024)  # asked for each request that goes out
def spelled(host: str) -> str:
    """A host in lower case, without brackets or the root's dot, its letters as name servers know them.

    Addresses are written in their short form; a name that is none stays as it is.
    """
    name = host.strip().strip("[]").rstrip(".").lower()
    with suppress(ValueError):
        return ip_address(name).compressed
    with suppress(UnicodeError):
        return name.encode("idna").decode()
    return name
