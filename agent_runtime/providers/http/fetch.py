"""Fetching what an address in a message stands for, and only from where it may be fetched.

Each host is resolved once, every address that it has is judged, and the connection goes to the address that was judged:
what the name stands for a moment later does not count. Redirects are followed by hand, each judged as the first.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx

from agent_runtime.errors import APIConnectionError, APIStatusError, APITimeoutError, UsageError
from agent_runtime.providers.http.service import without_password

FETCH_S = 10.0
"""For one part, with all its redirects."""

REDIRECTS = 5

NOT_PUBLIC = tuple(map(ipaddress.ip_network, ("168.63.129.16/32", "192.0.0.0/24", "64:ff9b:1::/48", "fec0::/10")))
"""Besides what Python calls not global: where Azure's and Oracle's clouds answer their own machines, a NAT64's inside, and
what was site-local."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host."""

_EXTENSION_PREFIX = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")


def too_large(name: str, size: str, limit: int) -> UsageError:
    return UsageError(f"{name} has {size} bytes; at most {limit:,} are sent: make it smaller.")


class Fetch:
    """Fetches an address, within bounds and only from where it may."""

    def __init__(self, limit: int, allow_private: bool, client: httpx.AsyncClient, resolve: Resolve) -> None:
        self.limit = limit
        self._allow_private = allow_private
        self._client = client
        self._resolve = resolve

    async def __call__(self, url: str, name: str) -> tuple[str | None, bytes]:
        """The type that the server says, and the bytes."""
        name = without_password(name)
        try:
            async with asyncio.timeout(FETCH_S):
                return await self._followed(httpx.URL(url), name)
        except TimeoutError:
            raise APITimeoutError(
                f"{name} could not be fetched within {FETCH_S:g} s; give its bytes, or an address that answers sooner.",
                **_network(url),
            ) from None
        except httpx.InvalidURL as error:
            raise UsageError(f"{name} is no address that can be fetched ({error}); check it.") from None
        except httpx.HTTPError as error:
            raise APIConnectionError(
                f"{name} could not be fetched ({without_password(str(error)) or type(error).__name__}); "
                "check the address and the network.",
                **_network(url),
            ) from None

    async def _followed(self, url: httpx.URL, name: str) -> tuple[str | None, bytes]:
        for _ in range(REDIRECTS + 1):
            response = await self._get(url, name)
            try:
                if not response.has_redirect_location:
                    return await self._body(response, name)
                there = url.join(response.headers["location"])
            finally:
                await response.aclose()
            if there.scheme not in ("http", "https") or (url.scheme == "https" and there.scheme == "http"):
                raise UsageError(
                    f"{name} redirects to {there.scheme}://, which is not followed; give the address where the file is."
                )
            url = there
        raise UsageError(f"{name} redirects more than {REDIRECTS} times; give the address where the file is.")

    async def _get(self, url: httpx.URL, name: str) -> httpx.Response:
        """Ask the host at the address that was judged: what its name stands for a moment later does not count."""
        addresses, failure = await self._judged(url, name), None
        host = url.netloc.decode("ascii")
        for address in addresses:
            request = self._client.build_request(
                "GET",
                url.copy_with(host=str(address)),
                # A connection that was opened for one name is not for another at the same address.
                headers={"host": host, "accept": "*/*", "accept-encoding": "identity", "connection": "close"},
                extensions={"sni_hostname": url.raw_host.decode("ascii")},
            )
            try:
                return await self._client.send(request, stream=True, follow_redirects=False)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        assert failure is not None
        raise failure

    async def _judged(self, url: httpx.URL, name: str) -> list[Address]:
        host = url.raw_host.decode("ascii")
        if not host or (url.port or 0) > 65_535:
            raise UsageError(f"{name} names no host and port; give an address like https://host/picture.jpg.")
        literal = _literal(host)
        if literal is not None:
            addresses = [literal]
        else:
            found = await self._resolve(host, url.port or (443 if url.scheme == "https" else 80))
            addresses = [ipaddress.ip_address(each) for each in dict.fromkeys(found)]
        if not addresses:
            raise httpx.ConnectError(f"the host {host} has no address")
        if not self._allow_private and not all(map(is_public, addresses)):
            raise UsageError(
                f"{name} is at {host}, on this machine or a network of its own, from where nothing is fetched; "
                "give the bytes, or say allow_private=True if no caller and no model chose the address."
            )
        return addresses

    async def _body(self, response: httpx.Response, name: str) -> tuple[str | None, bytes]:
        status = response.status_code
        if status != 200:
            raise APIStatusError(
                f"{name} could not be fetched (status {status}); check the address.",
                status_code=status,
                provider=response.request.headers["host"],
                fault="request",
                retryable=status in (408, 429) or status >= 500,
            )
        told = response.headers.get("content-length", "")
        if told.isdecimal() and int(told) > self.limit:
            raise too_large(name, f"{int(told):,}", self.limit)
        data = bytearray()
        async for piece in response.aiter_bytes():
            data += piece
            if len(data) > self.limit:
                raise too_large(name, f"more than {self.limit:,}", self.limit)
        if not data:
            raise UsageError(f"{name} is empty; give the address of a file with something in it.")
        kind = response.headers.get("content-type", "").split(";")[0].strip().lower()
        return kind or None, bytes(data)


def is_public(address: Address) -> bool:
    """Whether it is one of the internet, whatever IPv6 wraps it in."""
    inner = _wrapped(address)
    if inner is not None:
        return is_public(inner)
    if any(address in network for network in NOT_PUBLIC):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _wrapped(address: Address) -> Address | None:
    """The IPv4 address inside: mapped, compatible, 6to4, Teredo's client, or behind a NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _EXTENSION_PREFIX or address in _COMPATIBLE:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo is not None else None)


def _literal(host: str) -> Address | None:
    """The address that a host is written as, also in the forms that only C knows: ``2130706433``, ``0x7f.1``."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


async def resolved(host: str, port: int) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpx.ConnectError(f"the host {host} was not found: {error.strerror}") from None
    return [str(address[0]) for *_, address in found]


def _network(url: str) -> dict[str, Any]:
    return {"provider": httpx.URL(url).host, "fault": "network", "retryable": True}
