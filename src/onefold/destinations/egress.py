"""The one door out: every connection to a destination is made here, to an address that was judged first.

The judgement falls when a socket is made for an address that a name has already been resolved to, so no spelling
of an address, no redirect and no name server that changes its mind can get around it. Inner addresses are connected
to for the hosts alone that the workspace has named: each connection knows for which host it is being made.
"""

import asyncio
import errno
import socket
from collections.abc import Container
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection

from onefold.errors import ForbiddenAddress
from onefold.model.host import spelled

DENIED = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this network; Linux connects 0.0.0.0 to itself
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; some clouds' metadata
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's own host agent, at a public address
        "169.254.0.0/16",  # link-local: metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "::/96",  # unspecified, loopback, IPv4-compatible
        "64:ff9b::/96",  # NAT64: an IPv4 address in disguise
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",  # Teredo, ORCHID and other tunnels
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",  # unique local
        "fe80::/10",  # link-local
        "fec0::/10",  # site-local
        "ff00::/8",  # multicast
    )
)
"""Where nothing is sent. A list of our own, because what a library calls `global` changes with its version."""

SCHEMES = ("http", "https")
REFUSED = "forbidden address"
"""With this begins the text of a refusal, also where a library wraps it into an error of its own."""

HEADERS_MAX = 128
HEADER_MAX_BYTES = 8 * 1024
_RESOLVER_THREADS = 2

_MAPPED = ip_network("::ffff:0:0/96")

AddressInfo = tuple[Any, Any, int, str, tuple[Any, ...]]


class Refused(ForbiddenAddress, PermissionError):
    """As asyncio wants it: an error of the system, for which the next address of a name is tried."""


def is_denied(address: IPv4Address | IPv6Address) -> bool:
    """Whether this address is private, loopback, link-local or otherwise not out in the world."""
    if isinstance(address, IPv6Address) and address in _MAPPED:
        address = IPv4Address(int(address) & 0xFFFF_FFFF)
    return any(address.version == network.version and address in network for network in DENIED)


def session(
    *, connections: int, private_hosts: Container[str] = (), resolver: AbstractResolver | None = None
) -> aiohttp.ClientSession:
    """A session of one destination: its own connections, its own resolver threads, nothing from the environment.

    Of inner addresses it connects to those of `private_hosts` only, each as `model.host.spelled` spells it. Bodies are
    not inflated. Redirects are the caller's: pass `allow_redirects=False`.
    """
    connector = Door(
        private_hosts,
        limit=connections,
        resolver=resolver or OwnThreads(),
        socket_factory=_judged_socket,
        keepalive_timeout=15.0,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        read_bufsize=16 * 1024,
        max_line_size=HEADER_MAX_BYTES,
        max_field_size=HEADER_MAX_BYTES,
        max_headers=HEADERS_MAX,
    )


_inward: ContextVar[bool] = ContextVar("inward", default=False)
"""Whether the connection that is being made may lead to an inner address; tasks that it is made in inherit it."""


class Door(aiohttp.TCPConnector):
    """Knows for which host a connection is made, and so whether its address is judged."""

    def __init__(self, private_hosts: Container[str], **options: Any) -> None:
        super().__init__(**options)
        self._private_hosts = private_hosts

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Connection:  # noqa: ASYNC109 - the library's
        """As `aiohttp.BaseConnector.connect`."""
        allowed = spelled(req.url.raw_host or "") in self._private_hosts
        token = _inward.set(allowed)
        try:
            return await super().connect(req, traces, timeout)
        finally:
            _inward.reset(token)


class OwnThreads(AbstractResolver):
    """The system's resolver in threads of its own, so that a name server that hangs holds up one destination only."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_RESOLVER_THREADS, thread_name_prefix="resolve")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """As `AbstractResolver.resolve`."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _lookup, host, port, family)
        return [
            ResolveResult(
                hostname=host, host=address[0], port=port, family=kind, proto=proto, flags=socket.AI_NUMERICHOST
            )
            for kind, _, proto, _, address in found
        ]

    async def close(self) -> None:
        """Let the threads go; one that still waits for a name server ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _lookup(host: str, port: int, family: int) -> list[AddressInfo]:
    return list(socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG))


def _judged_socket(info: AddressInfo) -> socket.socket:
    family, kind, protocol, _, address = info
    host = str(address[0])
    if family not in (socket.AF_INET, socket.AF_INET6):
        raise Refused(errno.EACCES, f"{REFUSED} {host}")
    if not _inward.get() and is_denied(ip_address(host.partition("%")[0])):
        raise Refused(errno.EACCES, f"{REFUSED} {host}")
    return socket.socket(family, kind, protocol)
