"""Writes golden/*.json: what the official SDKs send for our calls, and what they read in our scripted server's answers.

    python -m tests.contract.golden [openai anthropic google boto3 litellm services livekit]

Each SDK lives in an environment of its own, .venv-NAME (scripts/environments.sh), and is pinned there. Everything happens
on loopback. The same pins give the same files.
"""

import asyncio
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from agent_runtime.testing.model_server import ModelServer, Received, Said, told
from tests.contract.material import SAID, SEEN
from tests.contract.normal import request, said_of

SDKS = ("openai", "anthropic", "google", "boto3", "litellm", "services", "livekit")
"""Each a script. That for services runs LiteLLM too."""
ENVIRONMENTS = {"services": "litellm"}
ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"


PATHS = {
    "openai": "/v1/chat/completions",
    "livekit": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "google": "/v1beta/models/m:streamGenerateContent",
    "services": "/v1/chat/completions",
    "litellm": "/v1beta/models/m:streamGenerateContent",
    "boto3": "/model/m/converse-stream",
}
"""Where an SDK is told an answer."""


def said(name: str) -> Said:
    """What is answered: as `SAID` and `SEEN` say, or anything."""
    told = {**SAID, **SEEN}.get(name.removeprefix("whole-"))
    return said_of(told) if told else Said("Fine.", prompt_tokens=3, completion_tokens=1)


class Recorder(ModelServer):
    """Answers by the first part of the path, which is the name of a call."""

    def said(self, received: Received) -> Said:
        return said(received.path.split("/")[1])


def digest_of_answer(sdk: str, name: str) -> str:
    """Of the bytes that the scripted server answers; the SDK has read these and no others."""
    whole = name.startswith("whole-")
    path = PATHS[sdk].replace("streamGenerate", "generate") if whole else PATHS[sdk]
    asked = Received("POST", path, {}, json.dumps({"stream": not whole}).encode())
    content_type, body = told(asked, said(name))
    return hashlib.sha256(content_type.encode() + body).hexdigest()


def digest_of_script(sdk: str) -> str:
    """Of what runs in the SDK's environment: other calls are other golden files."""
    here = Path(__file__).parent
    sources = [here / "sdks" / f"{sdk}.py", here / "sdks" / "running.py", here / "material.py"]
    sources += [here / "histories.py"] if sdk == "livekit" else []
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


async def record(name: str) -> None:
    """Run one SDK's script and write what came of it."""
    environment = ENVIRONMENTS.get(name, name)
    python = ROOT / f".venv-{environment}" / "bin" / "python"
    if not python.exists():
        print(f"{name}: there is no {python.parent.parent.name}; sh scripts/environments.sh {environment}")
        return
    async with Recorder() as server:
        script = await asyncio.create_subprocess_exec(
            *(python, "-m", f"tests.contract.sdks.{name}", server.url),
            cwd=ROOT,
            env=clean(),
            stdout=asyncio.subprocess.PIPE,
        )
        written, _ = await script.communicate()
        if script.returncode:
            sys.exit(f"{name}: its script failed, see above.")
    made: dict[str, Any] = json.loads(written.splitlines()[-1])
    calls: dict[str, Any] = {}
    for received in server.requests:
        call, _, path = received.path.removeprefix("/").partition("/")
        if call not in made["read"]:
            calls.setdefault(call, []).append(
                request(name, received.method, f"/{path}", received.headers, received.body)
            )
    more = {key: made[key] for key in ("converted", "tools") if key in made}
    answers = {each: digest_of_answer(name, each) for each in made["read"]}
    write(
        f"{name}.json",
        {
            "version": made["version"],
            "script": digest_of_script(name),
            "calls": calls,
            "refused": made["refused"],
            **more,
        },
    )
    if answers:
        write(f"{name}-read.json", {"version": made["version"], "answers": answers, "read": made["read"]})
    print(
        f"{name} {made['version']}: {len(calls)} calls, {len(made['refused'])} refused, {len(made['read'])} answers read"
    )


def clean() -> dict[str, str]:
    """Nothing of the user's: no keys, no proxies, no settings."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
    return {
        **kept,
        "PYTHONPATH": "",
        "PYTHONWARNINGS": "ignore",
        "PYTHONDONTWRITEBYTECODE": "1",
        "NO_PROXY": "*",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
    }


def write(name: str, told: Any) -> None:
    text = json.dumps(told, ensure_ascii=False, indent=1, sort_keys=True)
    (GOLDEN / name).write_text(text + "\n", encoding="utf-8")


async def main(names: list[str]) -> None:
    GOLDEN.mkdir(exist_ok=True)
    for name in names:
        await record(name)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:] or list(SDKS)))
