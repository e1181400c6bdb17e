"""From where nothing is fetched, and that what was judged is what is asked. Row D19."""

import asyncio
import ipaddress
import socket
import ssl
import traceback
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from agent_runtime import clock, virtual
from agent_runtime.errors import APIConnectionError, APIStatusError, APITimeoutError, UsageError
from agent_runtime.providers.http.fetch import FETCH_S, Fetch, is_public, resolved
from agent_runtime.providers.http.transport import make_client

PUBLIC = "93.184.215.14"
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(20)

Answer = Callable[[httpx.Request], httpx.Response]


def picture(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=PICTURE, headers={"content-type": "image/png"})


class Names:
    """A name server that gives its answers one after the other."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def fetch(
    url: str, answer: Answer = picture, names: Names | None = None, *, private: bool = False, limit: int = 1000
) -> Any:
    async def main() -> tuple[str | None, bytes]:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            return await Fetch(limit, private, client, names or Names([PUBLIC]))(url, f"The image '{url}'")

    return virtual.run(main())


PRIVATE = [
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254"),
    *("100.100.100.200", "168.63.129.16", "192.0.0.192", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
    *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1"),
    *(
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
    ),
    *("2002:7f00:1::", "2001:0:4136:e378:8000:63bf:80ff:fffe", "64:ff9b:1::1", "::ffff:0:127.0.0.1"),
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_of_the_internet(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", [PUBLIC, "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"]
)
def test_an_address_of_the_internet(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


class TestPrivate:
    @pytest.mark.parametrize(
        "url",
        [
            *(
                "http://127.0.0.1/a.png",
                "https://[::1]/a.png",
                "http://[::ffff:127.0.0.1]/",
                "http://169.254.169.254/latest/",
            ),
            *(
                "http://2130706433/",
                "http://0x7f000001/",
                "http://0177.1/",
                "http://127.1/",
                "http://0/",
                "http://[::]/",
            ),
            *("http://user:pass@127.0.0.1/", "http://127.0.0.1:80/", "http://10.0.0.1#@example.com/"),
        ],
    )
    def test_no_way_of_writing_it_passes(self, url: str) -> None:
        names = Names([PUBLIC])  # whatever a name server says of "2130706433": C takes it for an address
        with pytest.raises(UsageError, match="on this machine or a network of its own, from where nothing is fetched"):
            fetch(url, names=names)

    @pytest.mark.parametrize(
        "host", ["localhost", "localhost.", "LOCALHOST", "metadata.google.internal", "rebind.test"]
    )
    @pytest.mark.parametrize("addresses", [["127.0.0.1"], [PUBLIC, "10.0.0.1"], ["::1"], ["fe80::1%eth0"]])
    def test_a_name_that_stands_for_it_does_not_pass(self, host: str, addresses: list[str]) -> None:
        with pytest.raises(
            UsageError, match=f"is at {host.lower()}, on this machine .* give the bytes, or say allow_private"
        ):
            fetch(f"http://{host}/", names=Names(addresses))

    def test_it_passes_where_it_was_allowed(self) -> None:
        assert fetch("http://127.0.0.1:8000/a.png", private=True) == ("image/png", PICTURE)

    @pytest.mark.parametrize("there", ["http://127.0.0.1/", "//10.0.0.1/x", "http://inside.test/"])
    def test_a_redirect_to_it_is_judged_as_the_first(self, there: str) -> None:
        asked = []

        def answer(request: httpx.Request) -> httpx.Response:
            asked.append(request.headers["host"])
            return httpx.Response(302, headers={"location": there})

        names = Names([PUBLIC], ["192.168.0.1"])
        with pytest.raises(UsageError, match="from where nothing is fetched"):
            fetch("http://outside.test/", answer, names)
        assert asked == ["outside.test"]


class TestRebinding:
    def test_the_judged_address_is_asked_and_the_name_is_looked_up_once(self) -> None:
        asked = []

        def answer(request: httpx.Request) -> httpx.Response:
            asked.append((request.url.host, request.headers["host"], request.extensions["sni_hostname"]))
            return picture(request)

        names = Names([PUBLIC], ["127.0.0.1"])
        assert fetch("https://rebind.test:8443/a.png?q=1", answer, names) == ("image/png", PICTURE)
        assert asked == [(PUBLIC, "rebind.test:8443", "rebind.test")]
        assert names.asked == ["rebind.test"]

    def test_each_redirect_is_looked_up_anew(self) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            if request.url.path == "/a":
                return httpx.Response(307, headers={"location": "/b"})
            return picture(request)

        with pytest.raises(UsageError, match="from where nothing is fetched"):
            fetch("https://rebind.test/a", answer, Names([PUBLIC], ["127.0.0.1"]))

    @pytest.mark.sockets
    @pytest.mark.real_time
    def test_a_real_connection_goes_to_the_judged_address(self) -> None:
        """A name that stands for two servers: the one that it stood for when it was judged is asked."""

        async def main() -> bytes:
            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                head = await reader.readuntil(b"\r\n\r\n")
                told.append(head.decode().lower())
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes")
                await writer.drain()
                writer.close()

            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            names = Names(["127.0.0.1"], ["127.0.0.2"])
            async with httpx.AsyncClient(trust_env=False, timeout=None) as client:
                request = Fetch(100, True, client, names)
                _, data = await request._followed(httpx.URL(f"http://nowhere.invalid:{port}/x"), "it")
            server.close()
            await server.wait_closed()
            assert f"host: nowhere.invalid:{port}" in told[0]
            assert "connection: close" in told[0]
            return data

        told: list[str] = []
        assert asyncio.run(main()) == b"yes"

    def test_the_certificate_is_that_of_the_name(self) -> None:
        """httpcore checks the certificate for the name in `sni_hostname`, not for the address that is asked."""
        shook: list[str | None] = []

        class Stream(httpcore_stream()):  # type: ignore[misc]
            async def start_tls(
                self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: Any = None
            ) -> Any:
                shook.append(server_hostname)
                assert ssl_context.check_hostname
                raise httpcore.ConnectError("far enough")

        import httpcore

        async def main() -> None:
            client = make_client()
            pool = client._transport._pool  # type: ignore[attr-defined]
            pool._network_backend = Backend()
            async with client:
                with pytest.raises(httpx.ConnectError):
                    await Fetch(100, False, client, Names([PUBLIC]))._get(httpx.URL("https://pictures.test/a"), "it")

        class Backend(httpcore.AsyncNetworkBackend):
            async def connect_tcp(self, host: str, port: int, *options: Any, **more: Any) -> Any:
                assert host == PUBLIC
                return Stream([])

        virtual.run(main())
        assert shook == ["pictures.test"]


def httpcore_stream() -> Any:
    import httpcore

    return httpcore.AsyncMockStream


class TestBounds:
    def test_redirects_are_followed_and_bounded(self) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            left = int(request.url.path[1:])
            return httpx.Response(302, headers={"location": f"/{left - 1}"}) if left else picture(request)

        assert fetch("https://h.test/5", answer)[1] == PICTURE
        with pytest.raises(UsageError, match="redirects more than 5 times; give the address where the file is"):
            fetch("https://h.test/6", answer)

    @pytest.mark.parametrize("there", ["http://h.test/a.png", "file:///etc/passwd", "gopher://h.test/"])
    def test_no_redirect_leads_out_of_https(self, there: str) -> None:
        with pytest.raises(UsageError, match=r"redirects to .*, which is not followed"):
            fetch("https://h.test/", lambda request: httpx.Response(301, headers={"location": there}))

    def test_a_body_that_does_not_end_is_left(self) -> None:
        sent = []

        class Endless(httpx.AsyncByteStream):
            async def __aiter__(self) -> Any:
                while True:
                    sent.append(1)
                    yield bytes(100)

        with pytest.raises(UsageError, match="has more than 1,000 bytes"):
            fetch("https://h.test/", lambda request: httpx.Response(200, stream=Endless()))
        assert len(sent) == 11

    def test_an_answer_that_does_not_come_is_given_up(self) -> None:
        class Silent(httpx.AsyncByteStream):
            async def __aiter__(self) -> Any:
                yield b"x"
                await clock.sleep(3600)

        async def main() -> float:
            async with httpx.AsyncClient(
                transport=httpx.MockTransport(lambda request: httpx.Response(200, stream=Silent()))
            ) as client:
                with pytest.raises(APITimeoutError, match="could not be fetched within 10 s; give its bytes") as caught:
                    await Fetch(1000, False, client, Names([PUBLIC]))("https://h.test/a", "The image")
                assert caught.value.retryable
                return clock.now()

        assert virtual.run(main()) == FETCH_S

    def test_another_address_is_tried_where_one_is_not_there(self) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            if request.url.host == "2606:4700::1111":
                raise httpx.ConnectError("no route")
            return picture(request)

        assert fetch("https://h.test/", answer, Names(["2606:4700::1111", PUBLIC]))[1] == PICTURE
        with pytest.raises(APIConnectionError, match=r"could not be fetched \(no route\); check the address"):
            fetch("https://h.test/", answer, Names(["2606:4700::1111"]))

    @pytest.mark.parametrize(
        ("status", "retryable"), [(404, False), (403, False), (429, True), (503, True), (204, False)]
    )
    def test_a_refusal_is_told(self, status: int, retryable: bool) -> None:
        with pytest.raises(APIStatusError, match=f"status {status}") as caught:
            fetch("https://h.test/", lambda request: httpx.Response(status))
        assert (caught.value.retryable, caught.value.provider) == (retryable, "h.test")

    def test_a_name_that_nobody_knows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def nobody(*args: Any, **options: Any) -> Any:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        async def main() -> None:
            monkeypatch.setattr(socket, "getaddrinfo", nobody)
            await resolved("h.test", 443)

        with pytest.raises(httpx.ConnectError, match=r"the host h\.test was not found: Name or service not known"):
            virtual.run(main())
        with pytest.raises(APIConnectionError, match="has no address"):
            fetch("https://h.test/", names=Names([]))

    @pytest.mark.parametrize("url", ["https:///a.png", "https://[::1", "https://h.test:99999/"])
    def test_an_address_that_is_none(self, url: str) -> None:
        with pytest.raises(UsageError, match=r"names no host and port|is no address that can be fetched"):
            fetch(url)

    def test_nothing_of_the_body_is_empty(self) -> None:
        with pytest.raises(UsageError, match="is empty"):
            fetch("https://h.test/", lambda request: httpx.Response(200))


def test_a_password_in_an_address_is_not_shown() -> None:
    def nobody(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no way to https://me:hunter2@h.test/")

    for answer in (nobody, lambda request: httpx.Response(404)):
        with pytest.raises((APIConnectionError, APIStatusError), match=r"https://\*\*\*@h\.test/a\.png") as caught:
            fetch("https://me:hunter2@h.test/a.png", answer)
        assert "hunter2" not in "".join(traceback.format_exception_only(caught.value))
        assert caught.value.__cause__ is None
