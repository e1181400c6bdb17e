import json
from typing import Any

import httpx
import pytest

from agent_runtime import clock, virtual
from agent_runtime.errors import APIError, APIStatusError, UsageError
from agent_runtime.providers.http.service import Service, cleaned_key

KEY = "sk-very-secret"


def service() -> Service:
    return Service("groq", "llama-9", key_variable="GROQ_API_KEY", secrets=[KEY])


def refused(status: int, body: Any = None, headers: dict[str, str] | None = None) -> APIStatusError:
    content = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    return service().refused(status, headers or {}, content)


@pytest.mark.parametrize(
    ("status", "fault", "retryable", "fix"),
    [
        (400, "request", False, "Check the parameters"),
        (401, "key", False, "GROQ_API_KEY"),
        (402, "limit", False, "credit"),
        (403, "key", False, "GROQ_API_KEY"),
        (404, "model", False, "agent-runtime models"),
        (408, "service", True, "It may pass"),
        (413, "request", False, "Check the parameters"),
        (429, "limit", True, "Wait"),
        (499, "request", True, ""),
        (500, "service", True, "It may pass"),
        (503, "service", True, "It may pass"),
        (529, "service", True, "It may pass"),
    ],
)
def test_whose_fault_a_status_is(status: int, fault: str, retryable: bool, fix: str) -> None:
    error = refused(status, {"error": {"message": "so it is"}})
    assert (error.status_code, error.fault, error.retryable) == (status, fault, retryable)
    assert fix in str(error)
    assert str(error).startswith(f"groq refused 'llama-9' (status {status}): so it is. ")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "said so"}}, "said so"),
        ({"error": "said so"}, "said so"),
        ({"message": "said so"}, "said so"),
        ({"detail": "said so"}, "said so"),
        ([{"error": {"message": "said so"}}], "said so"),
        ({"Message": "said so"}, "said so"),
        (b"said\n  so", "said so"),
        (b"<html>\xff</html>", "<html>\N{REPLACEMENT CHARACTER}</html>"),
    ],
)
def test_the_services_own_words_in_all_their_shapes(body: Any, words: str) -> None:
    assert f"(status 400): {words}." in str(refused(400, body))


def test_a_long_refusal_is_quoted_in_part_and_an_empty_one_not_at_all() -> None:
    assert len(str(refused(400, {"error": {"message": "x" * 5000}}))) < 500
    assert str(refused(500, b"")).startswith("groq refused 'llama-9' (status 500). It may pass")


def test_no_secret_is_left_anywhere() -> None:
    error = refused(401, {"error": {"message": f"bad key {KEY}", "param": [KEY]}})
    assert KEY not in str(error)
    assert KEY not in json.dumps(error.body)
    assert KEY not in repr(service())
    assert KEY not in str(service().broken(f"...{KEY}..."))
    assert KEY not in str(service().unreachable(OSError(KEY), "https://x", begun=False))
    assert KEY not in str(service().failed_inside({"message": KEY}))


@pytest.mark.parametrize("name", ["x-request-id", "request-id", "x-amzn-requestid"])
def test_the_request_id_is_told(name: str) -> None:
    error = refused(500, {}, {name: "req_7"})
    assert error.request_id == "req_7"
    assert "request req_7" in str(error)


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after": "3"}, {}, 3.0),
        ({"retry-after": "0.5"}, {}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, {}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:10 GMT"}, {}, 10.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:20:00 GMT"}, {}, 0.0),
        ({"retry-after": "soon"}, {}, None),
        ({"retry-after": "-1"}, {}, None),
        ({}, {"error": {"details": [{"@type": "x"}, {"retryDelay": "3s"}]}}, 3.0),
        ({}, {"error": {"details": [{"retryDelay": "1.5s"}]}}, 1.5),
        ({}, {"error": {"details": "none"}}, None),
        ({}, {}, None),
    ],
)
def test_when_the_service_wants_to_be_asked_again(headers: dict[str, str], body: Any, seconds: float | None) -> None:
    from datetime import UTC, datetime

    async def main() -> float | None:
        return refused(429, body, headers).retry_after

    start = datetime(2015, 10, 21, 7, 28, 0, tzinfo=UTC)
    assert virtual.run(main(), wall_start=start) == seconds


@pytest.mark.parametrize(
    ("said", "status", "retryable"),
    [
        ({"code": 429, "message": "slow down"}, 429, True),
        ({"code": "429", "message": "slow down"}, 429, True),
        ({"status": 503, "message": "busy"}, 503, True),
        ({"code": "invalid_request", "message": "no"}, 500, True),
        ({"code": 99}, 500, True),
        ({"code": 400, "message": "no"}, 400, False),
        ("text", 500, True),
    ],
)
def test_an_error_inside_a_stream(said: Any, status: int, retryable: bool) -> None:
    error = service().failed_inside(said)
    assert (error.status_code, error.retryable) == (status, retryable)


def test_connection_and_silence_and_broken_answers() -> None:
    before = service().unreachable(OSError("refused"), "https://api/x", begun=False)
    amid = service().unreachable(OSError("reset"), "https://api/x", begun=True)
    assert "could not be reached for 'llama-9' at https://api/x (refused)" in str(before)
    assert "broke in the middle of an answer of 'llama-9' (reset)" in str(amid)
    assert "first_token_timeout" in str(service().silent(10.0, begun=False))
    assert "for 10 s in the middle" in str(service().silent(10.0, begun=True))
    for error in (before, amid, service().silent(1, begun=True)):
        assert (error.fault, error.retryable, error.provider, error.model) == ("network", True, "groq", "llama-9")
    broken: APIError = service().broken("no JSON")
    assert (broken.fault, broken.retryable) == ("answer", True)


@pytest.mark.parametrize("key", ["sk-'quote\\back", "sk-line\nend", "sk/with/slashes", 'sk-"double"'])
def test_no_secret_is_left_however_it_is_written(key: str) -> None:
    asked = Service("groq", "llama-9", secrets=[key])
    for written in (key, repr(key), repr(key.encode()), json.dumps(key), json.dumps(key).replace("/", "\\/")):
        assert "***" in asked.redacted(f"it was {written}")
        assert all(part not in asked.redacted(f"it was {written}") for part in ("quote", "line", "slashes", "double"))
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in key)
    for body in (f'{{"error": {{"message": "bad {escaped}", "{escaped}": ["{escaped}"]}}}}', f'["{escaped}"]'):
        error = asked.refused(400, {}, body.encode())
        assert key not in str(error)
        assert "***" in str(error)
        assert key not in str(error.body)


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"error":' * 100_000, b"[" * 700 + b"]" * 700])
def test_a_refusal_that_is_nested_too_deep_is_a_refusal(body: bytes) -> None:
    error = refused(400, body)
    assert (error.status_code, error.fault) == (400, "request")
    assert len(str(error)) < 500


def test_a_password_in_an_address_is_not_shown() -> None:
    url = "http://me:hunter2@host.test/v1"
    for error in (
        service().unreachable(OSError(f"no way to {url}"), url, begun=False),
        service().broken(url),
        service().lost(httpx.UnsupportedProtocol(url), url, begun=False),
    ):
        assert "hunter2" not in str(error)
        assert "://***@host.test/v1" in str(error)
    assert service().redacted("https://host.test/a@b and c@d") == "https://host.test/a@b and c@d"


def test_a_key_is_cleaned_and_one_that_no_header_carries_is_not_shown() -> None:
    assert cleaned_key(" sk-1234\r\n", "The key") == "sk-1234"
    assert cleaned_key("\n", "The key") == ""
    for wrong in ("sk-SECRET\n12345", "sk-SECRET\u00e9", "sk-SECRET\x7f", "sk-SECRET\u2028x"):
        with pytest.raises(UsageError, match=r"^The key has characters that no key has") as caught:
            cleaned_key(wrong, "The key")
        assert "SECRET" not in str(caught.value)


def test_a_key_in_the_query_of_an_address_is_not_shown() -> None:
    url = "https://host.test/v1?api-version=3&Api_Key=hunter2&code=hunter3"
    for error in (
        service().lost(OSError(f"no way to {url.partition('&code')[0]}"), url, begun=False),
        service().lost(httpx.UnsupportedProtocol("no"), url, begun=False),
        service().lost(httpx.ConnectError("no"), url, begun=True),
    ):
        assert "hunter" not in str(error)
    assert service().redacted(f"see {url}") == "see https://host.test/v1?api-version=3&Api_Key=***&code=hunter3"
    assert service().redacted("a?max_tokens=5&keyed") == "a?max_tokens=5&keyed"
    assert "hunter2" not in str(service().redirected(307, url))


@pytest.mark.parametrize("text", ["?" * 60_000, "?" + "key" * 20_000, "&key" * 15_000])
def test_a_long_text_is_cleaned_in_no_time(text: str) -> None:
    watch = clock.Stopwatch()
    with watch:
        assert service().redacted(text) == text
    assert watch.seconds < 1
