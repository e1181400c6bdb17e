"""Vertex AI (rows 4, D1, E2): addresses, and tokens: given, of a service account with a token endpoint of our own, of the
environment; renewed before they end."""

import base64
import json
import threading
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from agent_runtime import clock, virtual
from agent_runtime.errors import APIConnectionError, APIError, UsageError
from agent_runtime.providers.gemini.llm import GeminiLLM
from agent_runtime.providers.gemini.tts import GeminiTTS
from agent_runtime.types import APIConnectOptions
from tests.providers.gemini_wire import SAID, refusal
from tests.providers.wires import HELLO, Scripted, called, collect, conversation, get_weather

JSON = dict[str, Any]


def vertex(*answers: bytes | httpx.Response, **options: Any) -> tuple[GeminiLLM, Scripted]:
    service = Scripted(*(answers or (SAID,)))
    given = {"model": "gemini-2.5-flash", "project": "p-1", "credentials": lambda: "ya29.token", **options}
    return GeminiLLM(**given, vertexai=True, transport=service), service


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION", "GOOGLE_APPLICATION_CREDENTIALS", "GCLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))


@pytest.mark.parametrize(
    ("location", "host"),
    [
        (None, "us-central1-aiplatform.googleapis.com"),
        ("europe-west4", "europe-west4-aiplatform.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ],
)
def test_4_the_address_names_project_and_place(location: str | None, host: str) -> None:
    llm, service = vertex(location=location)
    assert collect(llm).text == "Hello there."
    place = location or "us-central1"
    assert str(service.requests[0].url) == (
        f"https://{host}/v1/projects/p-1/locations/{place}/publishers/google/models/gemini-2.5-flash"
        ":streamGenerateContent?alt=sse"
    )
    assert service.requests[0].headers["authorization"] == "Bearer ya29.token"
    assert "x-goog-api-key" not in service.requests[0].headers
    assert llm.label == "vertex_ai/gemini-2.5-flash"


def test_4_project_and_place_are_looked_for_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p-env")
    monkeypatch.setenv("GOOGLE_CLOUD_LOCATION", "asia-east1")
    llm, service = vertex(project=None)
    collect(llm)
    assert service.requests[0].url.path.startswith("/v1/projects/p-env/locations/asia-east1/")


def test_4_without_a_project_nothing_is_sent() -> None:
    llm, service = vertex(project=None)
    with pytest.raises(UsageError, match="needs a project; give project="):
        collect(llm)
    assert not service.requests


def test_4_calls_have_no_ids_and_caches_have_the_projects_address() -> None:
    llm, service = vertex()
    collect(llm, conversation(*HELLO, *called("c1", "get_weather", "{}", "sunny")), tools=[get_weather])
    assert service.body["contents"][1]["parts"] == [{"functionCall": {"name": "get_weather", "args": {}}}]

    entry = httpx.Response(200, json={"name": "projects/p-1/locations/us-central1/cachedContents/7"})
    llm, service = vertex(httpx.Response(200, json={}), entry, SAID)
    part = {"type": "text", "text": "long " * 2000, "cache_control": {"type": "ephemeral"}}
    chat_ctx = conversation(*HELLO)
    chat_ctx.add_message(role="user", content=[part])
    collect(llm, chat_ctx)
    assert [request.url.path for request in service.requests[:2]] == [
        "/v1/projects/p-1/locations/us-central1/cachedContents"
    ] * 2
    kept = json.loads(service.requests[1].content)
    assert kept["model"] == "projects/p-1/locations/us-central1/publishers/google/models/gemini-2.5-flash"
    assert service.body["cachedContent"].endswith("/cachedContents/7")


def test_4_googles_tools_and_functions_do_not_mix_even_in_the_third_generation() -> None:
    llm, service = vertex(model="gemini-3-flash-preview", location="global")
    collect(llm, tools=[get_weather, {"googleSearch": {}}])
    assert [next(iter(tool)) for tool in service.body["tools"]] == ["functionDeclarations"]


def test_d3_embeddings_are_asked_of_ai_studio() -> None:
    with pytest.raises(UsageError, match="AI Studio"):
        virtual.run(vertex()[0].embed("Hi"))


# Tokens


async def _token() -> str:
    return "ya29.async"


def test_e2_a_token_may_be_given_by_a_function_also_by_an_asynchronous_one() -> None:
    llm, service = vertex(credentials=_token)
    collect(llm)
    assert service.requests[0].headers["authorization"] == "Bearer ya29.async"


def test_e2_a_token_stands_in_no_message() -> None:
    llm, _ = vertex(refusal(401, "UNAUTHENTICATED", "bad token ya29.token"))
    with pytest.raises(APIError, match=r"bad token \*\*\*.*GOOGLE_APPLICATION_CREDENTIALS"):
        collect(llm)


def test_e2_credentials_of_another_kind_are_refused() -> None:
    with pytest.raises(UsageError, match="credentials is a int"):
        vertex(credentials=3)


def test_without_google_auth_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "google", None)
    with pytest.raises(UsageError, match=r"pip install 'agent-runtime\[vertex\]'"):
        vertex(credentials=None)
    vertex(credentials=lambda: "t")  # which needs no package


class TokenEndpoint:
    """A token endpoint on this machine: token 1, token 2, ..."""

    def __init__(self) -> None:
        self.asked: list[dict[str, list[str]]] = []
        self.expires_in = 3600
        self.status = 200
        self.complaint = "Account not found"
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = self.rfile.read(int(self.headers["content-length"])).decode()
                endpoint.asked.append(parse_qs(form))
                good = {"access_token": f"ya29.{len(endpoint.asked)}", "expires_in": endpoint.expires_in}
                bad = {"error": "invalid_grant", "error_description": endpoint.complaint}
                body = json.dumps({**good, "token_type": "Bearer"} if endpoint.status == 200 else bad).encode()
                self.send_response(endpoint.status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing is written."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/token"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def endpoint() -> Iterator[TokenEndpoint]:
    made = TokenEndpoint()
    yield made
    made.close()


KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2048)


def account(url: str, **more: str) -> JSON:
    pem = KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return {
        "type": "service_account",
        "project_id": "p-file",
        "private_key_id": "k1",
        "private_key": pem,
        "client_email": "agent@p-file.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": url,
        **more,
    }


def ask(llm: GeminiLLM, times: int = 1) -> None:
    async def ask_often() -> None:
        for _ in range(times):
            await llm.chat(chat_ctx=conversation(*HELLO)).collect()
            await clock.offload(len, "")  # a renewal in the background comes to its end
            await clock.sleep(1)
        await llm.aclose()

    virtual.run(ask_often())


def tokens(service: Scripted) -> list[str]:
    return [request.headers["authorization"].removeprefix("Bearer ") for request in service.requests]


@pytest.mark.sockets
def test_e2_a_service_account_asks_its_own_token_endpoint(endpoint: TokenEndpoint, tmp_path: Path) -> None:
    path = tmp_path / "account.json"
    path.write_text(json.dumps(account(endpoint.url)))
    llm, service = vertex(project=None, credentials=str(path))
    ask(llm, times=3)
    assert tokens(service) == ["ya29.1"] * 3  # one token for all
    assert service.requests[0].url.path.startswith("/v1/projects/p-file/")
    assert "x-goog-user-project" not in service.requests[0].headers
    assertion = endpoint.asked[0]["assertion"][0]
    claims = jwt.decode(
        assertion, KEY.public_key(), algorithms=["RS256"], audience="https://oauth2.googleapis.com/token"
    )
    assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
    assert claims["iss"] == "agent@p-file.iam.gserviceaccount.com"


@pytest.mark.sockets
def test_e2_the_environments_credentials_are_found(
    endpoint: TokenEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "account.json"
    path.write_text(json.dumps(account(endpoint.url)))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    llm, service = vertex(project=None, credentials=None)
    ask(llm)
    assert tokens(service) == ["ya29.1"]
    assert service.requests[0].url.path.startswith("/v1/projects/p-file/")


@pytest.mark.sockets
def test_e2_a_token_is_renewed_before_it_ends_while_the_old_one_is_used(endpoint: TokenEndpoint) -> None:
    endpoint.expires_in = 120  # less than google-auth wants to have left
    llm, service = vertex(credentials=account(endpoint.url))
    ask(llm, times=3)
    assert tokens(service) == ["ya29.1", "ya29.1", "ya29.2"]


@pytest.mark.sockets
def test_e2_a_token_that_has_ended_is_not_used(endpoint: TokenEndpoint) -> None:
    endpoint.expires_in = 0
    llm, service = vertex(credentials=account(endpoint.url))
    ask(llm, times=2)
    assert tokens(service) == ["ya29.1", "ya29.2"]


@pytest.mark.sockets
def test_e2_google_auths_own_objects_are_taken(endpoint: TokenEndpoint) -> None:
    from google.oauth2.service_account import Credentials

    made: Any = Credentials.from_service_account_info(account(endpoint.url))  # type: ignore[no-untyped-call,unused-ignore]
    made = made.with_quota_project("p-billed")
    llm, service = vertex(credentials=made)
    ask(llm)
    assert tokens(service) == ["ya29.1"]
    assert service.requests[0].headers["x-goog-user-project"] == "p-billed"


@pytest.mark.sockets
def test_e2_a_token_can_be_had_beforehand(endpoint: TokenEndpoint) -> None:
    llm, _ = vertex(httpx.Response(404), SAID, credentials=account(endpoint.url))

    async def warm_then_ask() -> int:
        llm.prewarm()
        for _ in range(100):
            await clock.sleep(0.1)
        before = len(endpoint.asked)
        await llm.chat(chat_ctx=conversation(*HELLO)).collect()
        await llm.aclose()
        return before

    assert virtual.run(warm_then_ask()) == 1
    assert len(endpoint.asked) == 1


@pytest.mark.sockets
def test_e2_a_refused_token_is_the_keys_fault(endpoint: TokenEndpoint) -> None:
    endpoint.status = 400
    llm, service = vertex(credentials=account(endpoint.url))
    with pytest.raises(APIError, match=r"Google refused a token.*invalid_grant") as failed:
        collect(llm)
    assert (failed.value.fault, failed.value.retryable) == ("key", False)
    assert not service.requests


@pytest.mark.sockets
def test_e2_what_the_credentials_are_made_of_is_in_no_error(endpoint: TokenEndpoint) -> None:
    from google.oauth2.credentials import Credentials

    user = Credentials(  # type: ignore[no-untyped-call,unused-ignore]
        None, refresh_token="1//hidden", client_id="c1", client_secret="GOCSPX-hidden", token_uri=endpoint.url
    )
    endpoint.status = 400
    endpoint.complaint = "Not 1//hidden of GOCSPX-hidden."
    llm, _ = vertex(credentials=user)
    with pytest.raises(APIError, match=r"Google refused a token.*Not \*\*\* of \*\*\*") as failed:
        collect(llm)
    assert "hidden" not in "".join(traceback.format_exception(failed.value))
    assert len(endpoint.asked) > 0


@pytest.mark.sockets
def test_e2_a_token_endpoint_that_is_not_there_may_come_back(endpoint: TokenEndpoint) -> None:
    llm, _ = vertex(credentials=account("http://127.0.0.1:1/token"), conn_options=APIConnectOptions(max_retry=0))
    with pytest.raises(APIConnectionError, match="Google gave no token") as failed:
        collect(llm)
    assert failed.value.retryable


def test_e2_no_credentials_at_all_say_where_they_are_looked_for() -> None:
    llm, _ = vertex(credentials=None)
    with pytest.raises(UsageError, match=r"set GOOGLE_APPLICATION_CREDENTIALS.*gcloud auth application-default login"):
        collect(llm)


def test_e2_a_credentials_file_that_is_none_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "account.json"
    with pytest.raises(UsageError, match=r"account.json' cannot be read \(No such file"):
        collect(vertex(credentials=path)[0])
    path.write_text("[1]")
    with pytest.raises(UsageError, match="no JSON of Google Cloud"):
        collect(vertex(credentials=path)[0])
    with pytest.raises(UsageError, match=r"of the type 'external_account'.*GOOGLE_APPLICATION_CREDENTIALS"):
        collect(vertex(credentials={"type": "external_account"})[0])
    with pytest.raises(UsageError, match="cannot be used"):
        collect(vertex(credentials={**account("http://x"), "private_key": "none"})[0])


def test_d28_the_voice_is_at_vertex_too() -> None:
    from tests.providers.gemini.test_tts import SOUND, sounds, spoken

    service = Scripted(sounds(SOUND))
    tts = GeminiTTS(vertexai=True, project="p-1", credentials=lambda: "ya29.token", transport=service)
    assert base64.b64encode(b"".join(frame.data for frame in spoken(tts))) == base64.b64encode(SOUND)
    assert service.requests[0].url.path.endswith("models/gemini-2.5-flash-preview-tts:streamGenerateContent")


def test_a_token_with_a_line_end_is_sent_without_and_one_that_no_header_carries_is_not_shown() -> None:
    llm, service = vertex(SAID, project="p", credentials=lambda: "ya29.SECRET\n")
    collect(llm)
    assert service.requests[0].headers["authorization"] == "Bearer ya29.SECRET"
    llm, service = vertex(SAID, project="p", credentials=lambda: "ya29.SEC\nRET")
    with pytest.raises(UsageError, match=r"^The token for Vertex AI has characters that no key has") as caught:
        collect(llm)
    assert "SEC" not in str(caught.value)
    assert service.requests == []
