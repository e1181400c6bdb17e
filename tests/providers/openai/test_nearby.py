"""Servers on this machine, found at their usual addresses."""

import asyncio

import httpx
import pytest

from agent_runtime import clock, virtual
from agent_runtime.providers.openai import nearby, services
from agent_runtime.providers.openai.nearby import Nearby, find

PORTS = {"ollama": 11434, "llamacpp": 8080, "vllm": 8000, "lmstudio": 1234, "litellm_proxy": 4000}


@pytest.fixture(autouse=True)
def usual_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in services.rows().values():
        for name in (*row.base_url_variables, *row.key_variables):
            monkeypatch.delenv(name, raising=False)


class Machine(httpx.AsyncBaseTransport):
    """What listens on which port: a response, or nothing."""

    def __init__(self, listening: dict[int, httpx.Response | None]) -> None:
        self.listening = listening
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        response = self.listening.get(request.url.port or 0)
        if response is None:
            raise httpx.ConnectError("refused")
        return response


def found(machine: Machine) -> list[Nearby]:
    return virtual.run(find(machine))


def test_the_usual_ports_are_asked() -> None:
    machine = Machine({})
    assert found(machine) == []
    assert {request.url.port for request in machine.requests} == set(PORTS.values())
    assert all(request.url.host == "localhost" and request.url.path == "/v1/models" for request in machine.requests)
    assert [f":{port}/" in address for port, address in zip(PORTS.values(), nearby.addresses(), strict=True)] == [
        True
    ] * 5


def test_the_models_are_descriptors() -> None:
    listed = {"object": "list", "data": [{"id": "llama3.1:8b"}, {"id": "qwen3"}, {"noid": 1}, "what"]}
    (ollama,) = found(Machine({11434: httpx.Response(200, json=listed)}))
    assert ollama == Nearby("ollama", "Ollama", "http://localhost:11434/v1", ("ollama/llama3.1:8b", "ollama/qwen3"), "")


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, text="<html>a web page</html>"),
        httpx.Response(404, json={"detail": "Not Found"}),
        httpx.Response(200, json={"hello": "world"}),
        httpx.Response(200, json=[1, 2]),
        httpx.Response(200, content=b"\xff\xfe"),
    ],
)
def test_something_else_on_the_port_is_no_server(response: httpx.Response) -> None:
    assert found(Machine({8000: response})) == []


def test_a_server_that_wants_a_key_says_which() -> None:
    (proxy,) = found(Machine({4000: httpx.Response(401, json={"error": "no"})}))
    assert proxy.models == ()
    assert proxy.remark == "it wants a key; set LITELLM_PROXY_API_KEY"


def test_the_key_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_PROXY_API_KEY", "sk-1234")
    machine = Machine({4000: httpx.Response(200, json={"data": []})})
    (proxy,) = found(machine)
    assert proxy.remark == "it has no model loaded"
    keys = {request.url.port: request.headers.get("authorization") for request in machine.requests}
    assert keys[4000] == "Bearer sk-1234"
    assert keys[8080] is None


def test_a_variable_says_where_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_BASE_URL", "http://10.0.0.7:9000/v1/")
    (vllm,) = found(Machine({9000: httpx.Response(200, json={"data": [{"id": "m"}]})}))
    assert vllm.base_url == "http://10.0.0.7:9000/v1"


def test_a_server_that_does_not_answer_is_not_waited_for() -> None:
    class Silent(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.get_running_loop().create_future()
            raise AssertionError

    async def look() -> float:
        began = clock.now()
        assert await find(Silent()) == []
        return clock.now() - began

    assert virtual.run(look()) == 0.5
