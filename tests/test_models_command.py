"""`agent-runtime models` and `agent-runtime chat`: useful on the first day, without a key."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from agent_runtime import cli
from agent_runtime.inference import prices, routes
from agent_runtime.inference.descriptor import resolve
from agent_runtime.io import chat
from agent_runtime.io.model_list import price_text
from agent_runtime.llm import CompletionUsage
from agent_runtime.providers.openai import services
from tests.providers.openai_wire import DONE, called, events, fragment, said

ROOT = Path(__file__).parents[1]
CLOCK = ROOT / "agents" / "clock.py"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    names = {name for keys in routes.KEYS.values() for name in keys}
    names |= {name for others in routes.INSTEAD.values() for name in others}
    for row in services.rows().values():
        names |= {*row.key_variables, *row.token_variables, *row.base_url_variables}
    for name in names:
        monkeypatch.delenv(name, raising=False)
    path = list(sys.path)
    yield
    sys.path[:] = path
    sys.modules.pop("agent_script", None)
    services.rows.cache_clear()
    prices.prices.cache_clear()


def told(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert cli.main(argv) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert cli.main(argv) == 2
    err = capsys.readouterr().err
    assert err.startswith("agent-runtime: ")
    assert err.count("\n") == 1
    return err


# models


def test_the_list_begins_on_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys, "models").splitlines()
    assert lines[0] == "On this machine: no key, free"
    assert lines[1].split() == ["vad", "local/silero", "ready"]
    text = "\n".join(lines)
    assert "OpenAI: OPENAI_API_KEY missing" in text
    assert "Ollama: no key" in text
    assert "openai/gpt-4.1-mini  $0.40 in, $0.10 cached, $1.60 out (2026-03); tools, vision, structured" in text
    assert "groq/llama-3.3-70b-versatile  unpriced; tools" in text
    assert "Amazon Bedrock: AWS's own variables, a profile, or the machine's role" in text


def test_keys_are_found_and_never_shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "sesame-1")
    monkeypatch.setenv("GOOGLE_API_KEY", "sesame-2")
    for argv in (["models"], ["models", "--json"], ["models", "groq/x"]):
        text = told(capsys, *argv)
        assert "sesame" not in text
    text = told(capsys, "models")
    assert "Groq: GROQ_API_KEY set" in text
    assert "Google Gemini: GOOGLE_API_KEY set" in text


def test_livekits_keys_change_who_serves(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    before = told(capsys, "models", "google/gemini-2.5-flash")
    assert "served by  LiveKit Inference; else Google Gemini" in before
    assert "price      $0.30 in, $0.03 cached, $2.50 out (2026-09-20), at Google Gemini" in before
    monkeypatch.setenv("LIVEKIT_API_KEY", "key")
    monkeypatch.setenv("LIVEKIT_API_SECRET", "secret")
    after = told(capsys, "models", "google/gemini-2.5-flash")
    assert "served by  LiveKit Inference\n" in after
    assert "keys       LIVEKIT_API_KEY set, LIVEKIT_API_SECRET set" in after
    assert "price      unpriced" in after


def test_json_has_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {row["name"]: row for row in json.loads(told(capsys, "models", "--json"))}
    assert rows["local/rules"]["price"]["usd"] == 0
    assert rows["local/rules"]["usable"] is True
    mini = rows["openai/gpt-4.1-mini"]
    assert mini["providers"] == ["azure", "openai"]
    assert mini["served_by"] == ["LiveKit Inference", "OpenAI"]
    assert mini["keys"][1] == {"OPENAI_API_KEY": "missing"}
    assert mini["price"]["input"] == 0.4
    assert mini["price"]["as_of"] == "2026-03"
    assert mini["context_window"] is None
    assert rows["groq/llama-3.3-70b-versatile"]["price"] is None


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("gpt-4.1-mini", ["name       openai/gpt-4.1-mini", "write      AgentSession(llm='openai/gpt-4.1-mini')"]),
        ("gpt-4o", ["name       openai/gpt-4o", "name       azure/gpt-4o"]),
        ("openai/tts-1:alloy", ["write      AgentSession(tts='openai/tts-1')", "$15.00 a million characters"]),
        ("local/text", ["write      AgentSession(turn_handling={'turn_detection': 'local/text'})"]),
        ("local/whisper", ["missing    The STT 'local/whisper' needs model="]),
        (
            "groq/some/new-model",
            ["keys       GROQ_API_KEY missing", "note       It is not in the list; it would be asked all the same.\n"],
        ),
        (
            "gemini/gemini-2.5-flashh",
            [
                "note       It is not in the list; it would be asked all the same. Did you mean ",
                "'gemini/gemini-2.5-flash'",
            ],
        ),
        (
            "openai/gpt-4o-min",
            ["it would be asked all the same. Did you mean 'openai/gpt-4o-mini'"],
        ),
        (
            "openai/gpt-oss-120b",
            ["run by     baseten, groq, cerebras", "needs LIVEKIT_API_KEY and LIVEKIT_API_SECRET\n"],
        ),
    ],
)
def test_one_model_in_full(capsys: pytest.CaptureFixture[str], name: str, lines: list[str]) -> None:
    text = told(capsys, "models", name)
    for line in lines:
        assert line in text


def test_a_providers_models(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "models", "groq").partition("\n\nPrices")[0]
    assert text.startswith("Groq: GROQ_API_KEY missing\n")
    assert all(line.split()[1].startswith("groq/") for line in text.splitlines()[1:])


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("gpt-4.1-mni", "There is no model 'gpt-4.1-mni' in the list. Did you mean 'openai/gpt-4.1-mini' or "),
        ("opnai/gpt-4o", "Did you mean 'openai/gpt-4o'"),
        ("zzz/zzz", "'agent-runtime models' lists those that are known."),
        ("groq/x | groq/y", "There is no model 'groq/x | groq/y'"),
    ],
)
def test_an_unknown_name_says_what_was_near(capsys: pytest.CaptureFixture[str], name: str, sentence: str) -> None:
    assert sentence in refused(capsys, "models", name)


def test_price_texts() -> None:
    assert price_text(None) == "unpriced"
    assert price_text(prices.price_of("openai", "gpt-5-nano")) == "$0.05 in, $0.005 cached, $0.40 out (2026-11)"
    assert price_text(prices.price_of("openai", "whisper-1")) == "$0.006 a minute (2026-11)"
    assert price_text(prices.price_of("local", "local/rules")) == "free"


# chat, with the rules of this machine


def test_an_answer_and_what_it_took(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["chat", "local/rules", "what is 3 plus 4"]) == 0
    out, err = capsys.readouterr()
    assert out == "Three plus four is seven.\n"
    assert err.startswith("first token ")
    assert err.endswith("; tokens not told; free: it runs on this machine\n")


@pytest.mark.parametrize(
    "argv",
    [
        ("local/rules", "--json", "what is 3 plus 4"),
        ("--json", "local/rules", "what is 3 plus 4"),
        ("local/rules", "what is 3 plus 4", "--json"),
        ("local/rules", "--system", "", "what is 3 plus 4", "--json"),
        ("local/rules", "--json", "--", "what is 3 plus 4"),
    ],
)
def test_options_stand_anywhere(capsys: pytest.CaptureFixture[str], argv: tuple[str, ...]) -> None:
    assert json.loads(told(capsys, "chat", *argv))["text"] == "Three plus four is seven."


def test_the_package_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agent_runtime", "chat", "local/rules", "what is 3 plus 4"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "Three plus four is seven.\n")


def test_every_server_here_has_no_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert "takes no name; leave out 'groq'" in refused(capsys, "models", "--local", "groq")


def test_the_text_may_come_from_a_pipe(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("what is 3 plus 4\n"))
    assert cli.main(["chat", "local/rules", "-"]) == 0
    assert capsys.readouterr().out == "Three plus four is seven.\n"


def test_a_conversation_with_the_tools_of_a_script() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agent_runtime.cli", "chat", "local/rules", "--tools", str(CLOCK)],
        input="add milk to my list\n\nwhat is on my list\nbye\nadd eggs\n",
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout == "I added milk.\nOn the list: milk.\nGood-bye!\n", "and the call that a tool ended is over"
    assert 'add_item({"item": "milk"}) -> I added milk.' in done.stderr


@pytest.mark.real_time
def test_json_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    record = json.loads(told(capsys, "chat", "local/rules", "add milk", "--tools", str(CLOCK), "--json"))
    assert record["text"] == "I added milk."
    assert record["tool_calls"] == [{"name": "add_item", "arguments": '{"item": "milk"}', "output": "I added milk."}]
    assert record["cost_usd"] == 0.0
    assert record["usage"] is None
    assert record["time_to_first_token"] >= 0


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["groq/x", "hi"], "The LLM 'groq/x' needs GROQ_API_KEY in the environment; 'local/rules' needs no key."),
        (["grop/x", "hi"], "Did you mean 'groq/x'?"),
        (["local/rules", " "], "There is nothing to say to the model"),
        (["local/rules | ", "hi"], "has nothing on side 2 of its '|'"),
        (["local/rules", "hi", "--tools", "nowhere.py"], "There is no script 'nowhere.py'"),
        (["local/espeak", "hi"], "It is a kind of TTS."),
        (["local/rules", "hi", "more"], "unrecognized arguments: more"),
        (["local/rules", "--json", "hi", "more"], "unrecognized arguments: more"),
        (["--json"], "the following arguments are required: DESCRIPTOR"),
        (["local/rules", "--jsom", "hi"], "unrecognized arguments: --jsom"),
    ],
)
def test_what_cannot_be_is_one_sentence(capsys: pytest.CaptureFixture[str], argv: list[str], sentence: str) -> None:
    assert sentence in refused(capsys, "chat", *argv)


@pytest.mark.real_time
def test_a_script_without_a_session(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    script = tmp_path / "none.py"
    script.write_text(
        "from agent_runtime import AgentServer\nserver = AgentServer()\n"
        "@server.rtc_session()\nasync def entrypoint(ctx):\n    pass\n"
    )
    assert "ended without starting a session" in refused(capsys, "chat", "local/rules", "hi", "--tools", str(script))


# chat, with a server


class _Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        seen = self.server.seen  # type: ignore[attr-defined]
        seen.append(asked)
        replies = self.server.replies  # type: ignore[attr-defined]
        reply = replies[min(len(seen), len(replies)) - 1]
        if reply is None:  # it begins, and then nothing comes any more
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            self.wfile.write(events([said("Once upon ")]))
            self.wfile.flush()
            self.server.closing.wait(30)  # type: ignore[attr-defined]
            self.close_connection = True
            return
        status, body = (200, events(reply)) if isinstance(reply, list) else (reply, b'{"error": {"message": "no"}}')
        self.send_response(status)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        body = b'{"object": "list", "data": [{"id": "tiny"}]}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Not on the tests' screen."""


class Server(ThreadingHTTPServer):
    """Speaks OpenAI's wire and says what it is told to: messages, a status, or (None) a beginning without an end."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Server)
        self.seen: list[Any] = []
        self.replies: list[Any] = []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("VLLM_BASE_URL", made.url)
    yield made
    made.closing.set()
    made.shutdown()
    made.server_close()
    thread.join()


USAGE = {
    "prompt_tokens": 1000,
    "completion_tokens": 500,
    "total_tokens": 1500,
    "prompt_tokens_details": {"cached_tokens": 400},
}
ANSWER: list[Any] = [said("Hel"), said("lo.", finish="stop"), {"choices": [], "usage": USAGE}, DONE]


def calling(name: str, arguments: str) -> list[Any]:
    call = fragment(arguments, name=name, index=0, id="c1", type="function")
    return [called(call), said(finish="tool_calls"), DONE]


def ask(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[str, str]:
    assert cli.main(["chat", *argv]) == 0
    return capsys.readouterr()


@pytest.mark.sockets
@pytest.mark.real_time
def test_a_local_server_needs_no_key(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.replies = [ANSWER]
    out, err = ask(capsys, "vllm/tiny", "Hello?", "--system", "Be brief.")
    assert out == "Hello.\n"
    assert "1000 (400 cached) in + 500 out tokens; free: it runs on this machine" in err
    assert server.seen[0]["model"] == "tiny"
    assert [each["role"] for each in server.seen[0]["messages"]] == ["system", "user"]


@pytest.mark.sockets
@pytest.mark.real_time
def test_what_a_session_counts_is_what_an_answer_costs(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.replies = [ANSWER]
    _, err = ask(capsys, f"openai/gpt-4.1?api_key=k&base_url={server.url}", "Hello?")
    price = prices.price_of("openai", "gpt-4.1")
    assert price is not None
    usd = price.of_tokens(CompletionUsage(500, 1000, 1500, prompt_cached_tokens=400))
    assert f"; ${usd:.6f}, prices of {price.as_of}" in err, "an address on this machine does not make it free"


def test_the_cost_is_of_the_dated_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "services.toml"
    table.write_text('[house]\nbase_url = "https://house.test/v1"\nkey_required = false\n')
    own = tmp_path / "prices.toml"
    own.write_text(
        '[[price]]\nprovider = "house"\nmodel = "big"\ninput = 2.0\ncached_input = 0.5\noutput = 10.0\n'
        'as_of = "2026-11-01"\nsource = "a bill"\n'
    )
    monkeypatch.setenv(services.VARIABLE, str(table))
    monkeypatch.setenv(prices.VARIABLE, str(own))
    services.rows.cache_clear()
    prices.prices.cache_clear()
    answer = chat.Answer(usages=[CompletionUsage(500, 1000, 1500, prompt_cached_tokens=400)])
    big, small = resolve("llm", "house/big"), resolve("llm", "house/small")
    cost = chat._cost(big, answer)
    assert cost.usd == pytest.approx((600 * 2.0 + 400 * 0.5 + 500 * 10.0) / 1e6)
    assert cost.of == "prices of 2026-11-01"
    assert chat._cost(small, answer) == chat.Cost(None, "no price is known for house/small")
    assert chat._said(cost) == "$0.006400, prices of 2026-11-01"


@pytest.mark.sockets
@pytest.mark.real_time
def test_tools_are_called_until_the_model_is_content(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.replies = [calling("add_item", '{"item": "milk"}'), ANSWER]
    out, err = ask(capsys, "vllm/tiny", "add milk", "--tools", str(CLOCK))
    assert out == "Hello.\n"
    assert 'add_item({"item": "milk"}) -> I added milk.' in err
    names = [tool["function"]["name"] for tool in server.seen[0]["tools"]]
    assert names == ["add_item", "remove_item", "read_list", "end_call"]
    assert server.seen[0]["messages"][0]["content"].startswith("You are Clara.")
    assert server.seen[1]["messages"][-1] == {"role": "tool", "tool_call_id": "c1", "content": "I added milk."}
    assert "tokens not told" in err, "of the first answer they were not"


@pytest.mark.sockets
@pytest.mark.real_time
def test_a_model_that_only_calls_tools_is_stopped(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.replies = [calling("read_list", "{}")]
    ask(capsys, "vllm/tiny", "go on", "--tools", str(CLOCK))
    assert len(server.seen) == 4, "three steps, and one without tools"
    assert "tools" not in server.seen[-1]


@pytest.mark.sockets
@pytest.mark.real_time
def test_a_refusal_is_one_sentence(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.replies = [404]
    assert "vllm refused 'tiny' (status 404): no. Check the model's name" in refused(capsys, "chat", "vllm/tiny", "hi")


@pytest.mark.sockets
@pytest.mark.real_time
def test_what_a_model_says_has_no_power_over_a_terminal(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.replies = [[said("a\x1b[2Jb\tc\nd", finish="stop"), DONE]]
    out, _ = ask(capsys, "vllm/tiny", "hi")
    assert out == "a\x1b[2Jb\tc\nd\n", "a pipe carries what was said"
    assert chat._on_terminal("a\x1b[2Jb\tc\nd ") == "a\u241b[2Jb c\nd "


@pytest.mark.sockets
@pytest.mark.real_time
def test_ctrl_c_ends_it_cleanly(server: Server) -> None:
    server.replies = [None]
    process = subprocess.Popen(
        [sys.executable, "-m", "agent_runtime.cli", "chat", "vllm/tiny", "tell me a story"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "VLLM_BASE_URL": server.url},
    )
    assert process.stdout is not None
    assert process.stdout.read(len("Once upon ")) == "Once upon ", "tokens are written as they come"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert (out, err) == ("\n", "")


@pytest.mark.sockets
@pytest.mark.real_time
def test_local_finds_it(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "models", "--local")
    assert f"vLLM at {server.url}\n  vllm/tiny\n" in text
    assert "agent-runtime chat 'vllm/tiny' \"hello\"" in text
    (found,) = [each for each in json.loads(told(capsys, "models", "--local", "--json")) if each["provider"] == "vllm"]
    assert found["models"] == ["vllm/tiny"]
