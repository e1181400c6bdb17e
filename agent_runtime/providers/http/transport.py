"""The way to services on the network: one pool of connections for each event loop, shared by all models.

`httpx` is imported here and in `remote` alone. A client belongs to the loop on which it was first used; it is closed
when the last model that used it is closed, and at the latest with the loop.
"""

import asyncio
import functools
import importlib
import logging
import os
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable

import httpx

from agent_runtime import clock
from agent_runtime.errors import AgentRuntimeError, UsageError
from agent_runtime.inference.routes import is_this_machine
from agent_runtime.providers.http.service import without_password

log = logging.getLogger("agent_runtime.llm")

WARM_S = 10.0
"""For a connection that nobody waits for."""

CONNECT_S = 5.0
"""To a connection, with its TLS handshake. A service that does not even answer this is not there."""

MAX_CONNECTIONS = 1000
KEEP_ALIVE = 50
KEEP_ALIVE_S = 120.0
"""So that the connection of one turn is still there in the next."""


@functools.cache
def _tls() -> ssl.SSLContext:
    """Read once: the certificates are half a megabyte. With them comes what httpx would import in the first turn.

    Raises:
        UsageError: they cannot be read.
    """
    for name in ("anyio", "httpcore"):
        importlib.import_module(name)
    try:
        return httpx.create_ssl_context()
    except OSError as error:  # also what OpenSSL says of a file that holds no certificates
        names = [name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)]
        if not names:
            raise
        raise UsageError(
            f"{names[0]} is {os.environ[names[0]]!r}, from where no certificates can be read "
            f"({error.strerror or error}); correct it, or unset it for the usual ones."
        ) from None


class _Client(httpx.AsyncClient):
    """Asks this machine without a proxy: what the proxy calls so is its own. A `mounts` of httpx's names no networks."""

    def _transport_for_url(self, url: httpx.URL) -> httpx.AsyncBaseTransport:
        return self._transport if is_this_machine(url.host) else super()._transport_for_url(url)


def make_client(transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """A client with our bounds. Time without an answer is watched by who asks, not here.

    Raises:
        UsageError: the environment names a proxy that cannot be used.
    """
    try:
        return _Client(
            transport=transport,
            verify=_tls(),
            timeout=httpx.Timeout(None, connect=CONNECT_S, pool=CONNECT_S),
            limits=httpx.Limits(
                max_connections=MAX_CONNECTIONS, max_keepalive_connections=KEEP_ALIVE, keepalive_expiry=KEEP_ALIVE_S
            ),
            headers={"accept-encoding": "identity"},
        )
    except ImportError:
        problem = "a SOCKS proxy, which needs socksio: pip install socksio, or unset it"
    except (ValueError, httpx.InvalidURL):
        problem = "no address of a proxy that can be used; write it as http://host:port, or unset it"
    raise UsageError(f"{' or '.join(_proxies()) or 'The proxy of this machine'} names {problem}.")


def _proxies() -> list[str]:
    """The variables that name a proxy. Their values may hold a password."""
    names = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")
    return [name for each in names for name in (each, each.lower()) if os.environ.get(name)]


class _Pool:
    """The client of one loop."""

    def __init__(self) -> None:
        self.client = make_client()
        self.users = 0
        self._end = self._until_the_loop_ends()

    async def open(self) -> None:
        await anext(self._end)

    async def close(self) -> None:
        await self._end.aclose()

    async def _until_the_loop_ends(self) -> AsyncGenerator[None]:
        # A loop that shuts down closes the generators that it has begun.
        loop = asyncio.get_running_loop()
        _pools[loop] = self
        try:
            yield
        finally:
            if _pools.get(loop) is self:
                del _pools[loop]
            await self.client.aclose()


_pools: dict[asyncio.AbstractEventLoop, _Pool] = {}


class Transport:
    """One model's use of the connections. With `transport` it has its own instead of the shared ones (a proxy, a test)."""

    def __init__(self, transport: httpx.AsyncBaseTransport | None = None) -> None:
        _tls()  # not in the first turn
        self._own = make_client(transport) if transport is not None else None
        self._used: set[_Pool] = set()
        self._warming: asyncio.Task[None] | None = None

    def warm(self, url: str, prepare: Callable[[], Awaitable[None]]) -> None:
        """Prepare, and make a connection by asking for `url`: in the background, once. Whether it works does not matter."""
        if self._warming is None:
            self._warming = asyncio.get_running_loop().create_task(self._warm(url, prepare))

    async def _warm(self, url: str, prepare: Callable[[], Awaitable[None]]) -> None:
        try:
            async with clock.Deadline(WARM_S) as deadline:
                deadline.restart()
                await prepare()
                await (await self.client()).get(url)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, AgentRuntimeError) as error:
            log.debug("%s was not reached beforehand: %s", without_password(url), type(error).__name__)

    async def client(self) -> httpx.AsyncClient:
        """The client to ask with."""
        if self._own is not None:
            return self._own
        loop = asyncio.get_running_loop()
        pool = _pools.get(loop)
        if pool is None:
            for old in [each for each in _pools if each.is_closed()]:  # it was not shut down
                del _pools[old]
            pool = _Pool()
            await pool.open()
        if pool not in self._used:
            self._used.add(pool)
            pool.users += 1
        return pool.client

    async def aclose(self) -> None:
        """Give the connections back.

        An answer that is still on its way goes on where another model shares the pool; with the last model of a loop it is
        cut off. The pool of another loop is not this one's to close: it ends with its loop.
        """
        warming, self._warming = self._warming, None
        if warming is not None:
            warming.cancel()
            await asyncio.wait([warming])
        if self._own is not None:
            await self._own.aclose()
        loop = asyncio.get_running_loop()
        while self._used:
            pool = self._used.pop()
            pool.users -= 1
            if not pool.users and _pools.get(loop) is pool:
                await pool.close()
