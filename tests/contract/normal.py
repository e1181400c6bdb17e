"""Requests in a form in which two of them can be compared. Pure.

What says nothing is left out: the order of keys, times, signatures that hold times, headers of the HTTP library. What two
spellings are one thing for the service becomes one: Gemini reads snake_case and camelCase, types in either case.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from agent_runtime.testing.model_server import Said
from tests.contract.material import SECRET

JSON = Any

HEADERS = (
    "authorization",
    "api-key",
    "x-api-key",
    "x-goog-api-key",
    "anthropic-version",
    "anthropic-beta",
    "openai-organization",
    "openai-project",
    "content-type",
    "x-trace",
    "x-amz-security-token",
)
"""Those that matter, besides all that begin with ``x-livekit``."""

_GEMINI = ("google", "litellm")
_DATA = ("args", "response", "responseJsonSchema", "parametersJsonSchema")
"""Below these keys the names are the user's own."""

_SNAKE = re.compile(r"_([a-z0-9])")


def request(sdk: str, method: str, target: str, headers: Mapping[str, str], body: bytes) -> dict[str, JSON]:
    """One request as it stands in a golden file. `target` is the path with its query."""
    parts = urlsplit(target)
    made: dict[str, JSON] = {"method": method, "path": unquote(parts.path), "headers": _headers(sdk, headers)}
    if parts.query:
        made["query"] = dict(parse_qsl(parts.query))
    if body:
        told = json.loads(body)
        made["body"] = gemini(told) if sdk in _GEMINI else _unpacked(told)
    return made


def _unpacked(told: JSON) -> JSON:
    """JSON within JSON is JSON: Bedrock takes the schema of an answer as a text."""
    if isinstance(told, list):
        return [_unpacked(each) for each in told]
    if not isinstance(told, Mapping):
        return told
    return {
        name: json.loads(value) if name == "schema" and isinstance(value, str) else _unpacked(value)
        for name, value in told.items()
    }


def _headers(sdk: str, headers: Mapping[str, str]) -> dict[str, JSON]:
    lower = {name.lower(): value for name, value in headers.items()}
    kept: dict[str, JSON] = {
        name: value for name, value in lower.items() if name in HEADERS or name.startswith("x-livekit")
    }
    if sdk == "livekit":
        kept["user-agent"] = re.sub(r"\(python [^)]*\)", "(python)", lower["user-agent"])
    said = kept.get("authorization", "")
    if said.startswith("AWS4-HMAC-SHA256"):
        kept["authorization"] = _aws(said)
    elif said.startswith("Bearer ") and said.count(".") == 2:
        kept["authorization"] = {"bearer": _token(said.removeprefix("Bearer "))}
    return kept


def _aws(said: str) -> dict[str, JSON]:
    """Who signed, for where, and which headers; the day and the signature itself are another each time."""
    fields = dict(re.findall(r"(\w+)=([^,\s]+)", said))
    key, _, region, service, kind = fields["Credential"].split("/")
    signed = sorted(fields["SignedHeaders"].split(";"))
    return {"key": key, "region": region, "service": service, "kind": kind, "signed": signed}


def _token(token: str) -> dict[str, JSON]:
    """A JSON Web Token: what it claims, for how long, and whether the secret signed it."""
    head, claims, signature = token.split(".")
    told = json.loads(_decoded(claims))
    good = hmac.digest(SECRET.encode(), f"{head}.{claims}".encode(), hashlib.sha256) == _decoded(signature)
    lives = told.pop("exp") - told.pop("nbf")
    return {"head": json.loads(_decoded(head)), "claims": told, "lives": lives, "signed": good}


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def gemini(told: JSON) -> JSON:
    """Gemini's JSON in one spelling."""
    if isinstance(told, list):
        return [gemini(each) for each in told]
    if not isinstance(told, Mapping):
        return told
    made: dict[str, JSON] = {}
    for name, value in told.items():
        key = _SNAKE.sub(lambda match: match[1].upper(), name)
        if key in _DATA:
            made[key] = value
        elif key in ("parameters", "responseSchema"):
            made[key] = schema(value)
        else:
            made[key] = gemini(value)
    return made


def schema(told: JSON) -> JSON:
    """A schema in Gemini's dialect; the names of properties stay as they are."""
    if isinstance(told, list):
        return [schema(each) for each in told]
    if not isinstance(told, Mapping):
        return told
    made: dict[str, JSON] = {}
    for name, value in told.items():
        key = _SNAKE.sub(lambda match: match[1].upper(), name)
        if key == "properties":
            made[key] = {each: schema(inner) for each, inner in value.items()}
        elif key == "type" and isinstance(value, str):
            made[key] = value.upper()
        else:
            made[key] = (
                value if key in ("enum", "required", "default", "example", "propertyOrdering") else schema(value)
            )
    return made


def said_of(told: Mapping[str, JSON]) -> Said:
    """An answer of `material.SAID`."""
    calls = [(name, arguments) for name, arguments in told.get("calls", ())]
    images = [base64.b64decode(each) for each in told.get("images", ())]
    audio = base64.b64decode(told.get("audio", ""))
    return Said(**{**told, "calls": calls, "images": images, "audio": audio})


def differences(ours: JSON, theirs: JSON, path: str = "") -> Iterator[tuple[str, JSON, JSON]]:
    """Each field in which the two differ: where, ours, theirs. `ABSENT` stands where there is none."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted({*ours, *theirs}):
            yield from differences(ours.get(key, ABSENT), theirs.get(key, ABSENT), f"{path}.{key}" if path else key)
    elif isinstance(ours, list) and isinstance(theirs, list):
        for index in range(max(len(ours), len(theirs))):
            mine = ours[index] if index < len(ours) else ABSENT
            other = theirs[index] if index < len(theirs) else ABSENT
            yield from differences(mine, other, f"{path}.{index}")
    elif ours != theirs or (isinstance(ours, bool) is not isinstance(theirs, bool)):
        yield path, ours, theirs


class _Absent:
    def __repr__(self) -> str:
        return "absent"


ABSENT = _Absent()
