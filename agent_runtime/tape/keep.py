"""A recorded call as a scenario and a test.

A scenario is smaller than a tape: its nodes are scripted, with the medians of what the tape's took. So what is expected of
it is not simply what was on the tape: sentences are taken from the tape, the scenario is played, and those that hold are
kept. What does not hold is told (`Kept.left_out`).
"""

import json
import keyword
import random
import re
import statistics
import wave
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent_runtime.audio.frame import FRAME_S, INPUT_RATE
from agent_runtime.chat import ChatMessage
from agent_runtime.errors import UsageError
from agent_runtime.events import Event
from agent_runtime.tape.conductor import Mark
from agent_runtime.testing.call import simulate
from agent_runtime.testing.expect import parse
from agent_runtime.testing.result import CallResult
from agent_runtime.testing.scenario import Scenario, scenario_text
from agent_runtime.trace.log import event_of
from agent_runtime.trace.tape import Json, Tape, unpack, unpack_floats
from agent_runtime.trace.waterfall import waterfalls
from agent_runtime.turns.options import TurnHandling

TEST = '''"""A call that was kept: {name}.yaml tells it."""

from pathlib import Path

from agent_runtime.testing import Scenario, simulate


def test_{identifier}() -> None:
    simulate(Scenario.load(Path(__file__).with_name("{name}.yaml"))).check()
'''

WITHIN_S = 0.3
"""How near to its time on the tape a thing must happen in the scenario."""

OTHERWISE = "Certainly."
"""What the scenario's model says where the tape's was not asked."""

_GREETING_WITHIN_S = 0.5

_ALIKE = {
    one: other
    for pair in (("mm hmm", "uh huh"), ("okay", "yeah"), ("yes", "yep"), ("stop", "nope"), ("mhm", "yup"))
    for one, other in (pair, pair[::-1])
}
"""What means the same to the turn machine and has the same lengths."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What was written.

    Attributes:
        left_out: what was so on the tape and is not in the scenario, and what a scenario cannot hold, a sentence each.
    """

    scenario: Path
    test: Path
    expected: int
    left_out: list[str]

    @property
    def summary(self) -> str:
        told = f"written: {self.scenario} ({self.expected} expectations), {self.test}"
        return "\n".join([told, *(f"left out: {each}" for each in self.left_out)])


def keep(tape: Tape, path: Path, *, redact: bool = False, force: bool = False) -> Kept:
    """Write `path`.yaml, the test beside it, and (unless redacted) the caller's sound as WAV files.

    Raises:
        UsageError: something stands there already, cannot be written, or the call was typed.
    """
    name = path.name.removesuffix(".yaml")
    scenario, test = path.with_name(f"{name}.yaml"), path.with_name(f"test_{_identifier(name)}.py")
    for each in (scenario, test):
        if each.exists() and not force:
            raise UsageError(f"{each} exists; name another, or replace it with --force.")
    call = _Call(tape, Redaction() if redact else None)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        given = call.scenario(name, None if redact else path.parent)
        result = _played(given, path)
        if result.failure is not None and isinstance(given["models"]["llm"], dict):
            call.lacks.append(f"{result.failure} It says {OTHERWISE!r} there.")
            given["models"]["llm"]["replies"] = _with_otherwise(given["models"]["llm"]["replies"])
            result = _played(given, path)
        sentences = call.sentences()
        met = [sentence for sentence in sentences if parse(sentence).look(result).met]
        unmet = [sentence for sentence in sentences if sentence not in met]
        given["expect"] = met
        head = f"# Kept from the tape {tape.path.name}{', with other words and other sound' if redact else ''}.\n"
        scenario.write_text(head + scenario_text(given), "utf-8")
        test.write_text(TEST.format(name=name, identifier=_identifier(name)), "utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}; name another place.") from error
    return Kept(scenario, test, len(met), [*unmet, *call.lacks])


def _played(given: Json, path: Path) -> CallResult:
    return simulate(Scenario.read(scenario_text(given), file=path.name, folder=path.parent))


def _with_otherwise(replies: Any) -> Any:
    """Replies that also answer what the tape has no answer to."""
    if isinstance(replies, list):
        return [*replies, *[OTHERWISE] * 100]
    return {**replies, "*": OTHERWISE}


def _identifier(name: str) -> str:
    made = re.sub(r"\W+", "_", name).strip("_").lower() or "call"
    return f"{made}_" if keyword.iskeyword(made) else made


class Redaction:
    """Other words of the same lengths: the same word always becomes the same other one, which tells nothing of it.

    A murmur or an order that stands alone ("mm hmm", "stop") becomes another one, so that the agent does the same.
    """

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def text(self, text: str) -> str:
        alike = _ALIKE.get(text.strip(" .,!?").casefold())
        return alike or re.sub(r"[^\W_]+", lambda found: self._word(found[0]), text)

    def _word(self, word: str) -> str:
        plain = word.casefold()
        if plain not in self._known:
            dice = random.Random(len(self._known))
            taken = set(self._known.values())
            for _ in range(100):
                made = "".join(
                    dice.choice("0123456789" if c.isdigit() else _LETTERS[i % 2]) for i, c in enumerate(word)
                )
                if made not in taken and made != plain:
                    break
            self._known[plain] = made
        other = self._known[plain]
        return "".join(o.upper() if c.isupper() else o for c, o in zip(word, other, strict=False))

    def values(self, given: Any) -> Any:
        """The same of everything that is text in a value of JSON, but its keys."""
        if isinstance(given, str):
            return self.text(given)
        if isinstance(given, Mapping):
            return {key: self.values(value) for key, value in given.items()}
        return [self.values(each) for each in given] if isinstance(given, list) else given


_LETTERS = ("bdfgklmnprstvz", "aeiou")


@dataclass(slots=True)
class _Voice:
    """A stretch of the caller's voice, and what was read of it."""

    onset: float
    end: float
    texts: list[str] = field(default_factory=list)
    confidence: float | None = None
    final_at: float | None = None
    stopped_at: float | None = None
    interims: int = 0


class _Call:
    """What is on a tape, as a scenario tells it."""

    def __init__(self, tape: Tape, redaction: Redaction | None) -> None:
        self._tape = tape
        self._told = tape.first("call")
        if not self._told["source"]:
            raise UsageError(f"The call on {tape.path} was typed, and a scenario has a caller who speaks.")
        self._lines = tape.log
        self._redaction = redaction
        self.lacks: list[str] = []
        self._voices = self._hear()
        self._agent = next(record for _, record in tape.of("agent") if record["ref"] == self._told["agent"])
        self._asks = {record["id"]: record for _, record in tape.of("ask")}
        self._gots: dict[int, list[Json]] = {}
        for _, record in tape.of("got"):
            self._gots.setdefault(record["id"], []).append(record)
        self._ends = {record["id"]: record for _, record in tape.of("end") if "id" in record}

    def _words(self, text: str) -> str:
        return text if self._redaction is None else self._redaction.text(text)

    def _values(self, given: Any) -> Any:
        return given if self._redaction is None else self._redaction.values(given)

    # The caller

    def _hear(self) -> list[_Voice]:
        voices: list[_Voice] = []
        for line in self._lines:
            kind = line["type"]
            if kind == "voice_started":
                if not voices or voices[-1].stopped_at is not None:
                    voices.append(_Voice(line["onset"], line["t"]))
            elif kind == "voice_stopped" and voices:
                voices[-1].end, voices[-1].stopped_at = line["last_voiced"], line["t"]
            elif kind == "user_input_transcribed" and voices:
                voice = _of_reading(voices, line)
                voice.interims += not line["is_final"]
                if line["is_final"] and line["transcript"]:
                    voice.texts.append(line["transcript"])
                    voice.confidence, voice.final_at = line["confidence"], line["t"]
        return voices

    def _caller(self, name: str, folder: Path | None) -> list[Json]:
        steps: list[Json] = []
        for number, voice in enumerate(self._voices, start=1):
            text = self._words(" ".join(" ".join(voice.texts).split()))
            step: Json = {"at": round(voice.onset, 3)}
            step |= {"say": text} if text else {"cough": True}
            sound = self._clip(voice, folder / f"{name}.{number}.wav") if folder is not None else None
            step |= {"sound": sound} if sound is not None else {"for": max(0.02, round(voice.end - voice.onset, 3))}
            if text and voice.confidence is not None:
                step["confidence"] = voice.confidence
            steps.append(step)
        close = self._lines[-1]
        if close["type"] == "close" and close["reason"] == "participant_disconnected":
            steps.append({"at": round(close["t"], 3), "hang_up": True})
        return steps

    def _clip(self, voice: _Voice, path: Path) -> str | None:
        """The sound of a voice as a file; None where the tape has none."""
        start = self._told["started"]
        pcm = b"".join(
            data for at, data in self._frames() if voice.onset <= at - start + FRAME_S and at - start <= voice.end
        )
        if not pcm.strip(b"\0"):
            return None
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(INPUT_RATE)
            file.writeframes(pcm)
        return path.name

    def _frames(self) -> Iterator[tuple[float, bytes]]:
        for number, record in self._tape.of("frames"):
            data = self._tape.sound(number)
            marks = unpack_floats(data[: record["marks"]])
            pcm = unpack(record["codec"], data[record["marks"] :])
            first = 0
            for index in range(0, len(marks), 5):
                size = int(marks[index + 1])
                yield marks[index], pcm[first : first + size]
                first += size

    # The scenario

    def scenario(self, name: str, folder: Path | None) -> Json:
        return {
            "name": name,
            "session": self._session(),
            "models": self._models(),
            "caller": self._caller(name, folder),
            "until": round(self._lines[-1]["t"] + 0.5, 1),
        }

    def _session(self) -> Json:
        told: Json = {"instructions": self._words(self._agent["instructions"])}
        handling = self._told["turn_handling"]
        plain = {
            key: value
            for key, value in handling.items()
            if not isinstance(value, dict) or not {"detector", "text_detector"} & value.keys()
        }
        if len(plain) < len(handling):
            self.lacks.append("the application's own turn detector; the scenario has the built-in one.")
        mutes = [each for each in plain.pop("mute", []) if isinstance(each, str)]
        told["turn_handling"] = _beside_defaults(plain) | ({"mute": mutes} if mutes else {})
        if not told["turn_handling"]:
            del told["turn_handling"]
        for key, default in (("max_tool_steps", 3), ("user_away_timeout", 15.0)):
            if self._told["session"][key] != default:
                told[key] = self._told["session"][key]
        greeting = self._greeting()
        if greeting is not None:
            told["greeting"] = self._words(greeting)
        tools = self._tools()
        return told | ({"tools": tools} if tools else {})

    def _greeting(self) -> str | None:
        found: str | None = None
        for _, action in self._tape.of("do"):
            text = action["args"].get("text")
            early = Mark.of(action["m"]).at - self._told["started"] < _GREETING_WITHIN_S
            if action["what"] == "say" and isinstance(text, str) and early and found is None:
                found = text
            elif action["what"] in ("say", "generate_reply", "interrupt", "commit_user_turn", "update_agent", "run"):
                self.lacks.append(f"{action['what']}() at {Mark.of(action['m']).at - self._told['started']:.3f} s.")
        return found

    def _tools(self) -> Json:
        tools: Json = {}
        for ask in self._of("tool"):
            outcome = self._ends.get(ask["id"], {}).get("outcome")
            if outcome is None:
                continue
            told: Json = {"takes": self._took(ask)}
            if outcome["is_error"]:
                told["error"] = self._words(outcome["output"]) or "it failed"
            else:
                told["returns"] = self._words(outcome["output"])
            if tools.setdefault(ask["name"], told) != told:
                self.lacks.append(
                    f"the tool {ask['name']!r} did not always do the same; the scenario has the first time."
                )
            if outcome["agent"] is not None:
                self.lacks.append(f"the hand-over by the tool {ask['name']!r}.")
        return tools

    def _took(self, ask: Json) -> float:
        return round(float(self._ends[ask["id"]]["m"][0] - ask["m"][0]), 3)

    def _of(self, *nodes: str) -> list[Json]:
        return [ask for ask in self._asks.values() if ask["node"] in nodes]

    # The nodes

    def _models(self) -> Json:
        nodes = self._told["nodes"]
        models: Json = {}
        silences = [v.stopped_at - v.end for v in self._voices if v.stopped_at is not None]
        models["vad"] = {"min_silence": _median(silences, 0.25)} if nodes["vad"] is not None else None
        models["stt"] = self._stt() if nodes["stt"] is not None else None
        models["llm"] = self._llm() if nodes["llm"] is not None or self._of("llm_node") else None
        models["tts"] = self._tts() if nodes["tts"] is not None or self._of("tts_node") else None
        return models

    def _stt(self) -> Json:
        delays = [v.final_at - v.end for v in self._voices if v.final_at is not None and v.final_at >= v.end]
        some = any(voice.interims for voice in self._voices)
        return {"delay": _median(delays, 0.2), "interim_every": 0.2 if some else None}

    def _llm(self) -> Json:
        asks = self._of("llm_node") or self._of("llm")
        # A scenario's model goes by what was said last, a tool's output or the user's words.
        answers = [(self._words(ask["text"].rpartition("\n")[2]), self._answer(ask)) for ask in asks]
        given: dict[str, list[Any]] = {}
        for text, answer in answers:
            given.setdefault(" ".join(text.split()), answer)
        replies: Any = given
        if any(given[" ".join(text.split())] != answer for text, answer in answers):
            replies = [answer for _, answer in answers]
        if not replies:
            replies = {"*": OTHERWISE}
        firsts, rates = [], []
        for ask in asks:
            times = [got["m"][0] for got in self._gots.get(ask["id"], ()) if _said(got) or _calls(got)]
            words = len(" ".join(_said(got) for got in self._gots.get(ask["id"], ())).split())
            if times:
                firsts.append(times[0] - ask["m"][0])
            if words > 1 and times[-1] > times[0]:
                rates.append((words - 1) / (times[-1] - times[0]))
        return {"ttft": _median(firsts, 0.1), "tokens_per_second": _median(rates, 1000.0) or 1000.0, "replies": replies}

    def _answer(self, ask: Json) -> list[Any]:
        """Text and tool calls in order."""
        parts: list[Any] = []
        text = ""
        for got in self._gots.get(ask["id"], ()):
            text += _said(got)
            for call in _calls(got):
                parts += [self._words(" ".join(text.split()))] * bool(text.strip())
                text = ""
                parts.append({"call": call["name"], "arguments": self._values(_arguments(call["arguments"]))})
        parts += [self._words(" ".join(text.split()))] * bool(text.strip())
        error = self._ends.get(ask["id"], {}).get("error")
        if error is not None:
            parts.append({"error": self._words(error["message"]) or error["type"]})
        return parts or [{"never_ends": True}]

    def _tts(self) -> Json:
        asks = self._of("tts_node") or self._of("tts")
        firsts: list[float] = []
        words, seconds, taken = 0, 0.0, 0.0
        for ask in asks:
            frames = [got for got in self._gots.get(ask["id"], ()) if "frame" in got]
            whole = "left" not in self._ends.get(ask["id"], {"left": True})
            if frames:
                firsts.append(frames[0]["m"][0] - ask["m"][0])
            if frames and whole and ask.get("text"):
                words += len(ask["text"].split())
                seconds += self._seconds(frames)
                taken += frames[-1]["m"][0] - frames[0]["m"][0]
        node = self._told["nodes"]["tts"] or {}
        return {
            "ttfb": _median(firsts, 0.2),
            "words_per_second": round(words / seconds, 2) if seconds else 3.0,
            "real_time_factor": round(taken / seconds, 3) if seconds else 0.1,
            "word_times": bool(node.get("word_times", True)),
        }

    def _seconds(self, frames: Iterable[Json]) -> float:
        numbers = {id(record): number for number, record in enumerate(self._tape.records)}
        total = 0.0
        for got in frames:
            told = got["frame"]
            sound = unpack(told["codec"], self._tape.sound(numbers[id(got)]))
            total += len(sound) / 2 / told.get("channels", 1) / told["rate"]
        return total

    # What was so

    def sentences(self) -> list[str]:
        """What is to be expected, as it was on the tape."""
        found: list[str] = []
        counts: dict[str, int] = {}
        for line in self._lines:
            item = line.get("item") or {}
            if line["type"] != "conversation_item_added" or item.get("type") != ChatMessage.type:
                continue
            who = "user" if item["role"] == "user" else "agent" if item["role"] == "assistant" else None
            if who is None:
                continue
            text = " ".join(str(part) for part in item["content"])
            counts[who] = counts.get(who, 0) + 1
            found.append(f'history {who} {counts[who]} is "{self._words(text)}"')
            if item["interrupted"]:
                found.append(f"history {who} {counts[who]} is interrupted")
        found += [
            f"user turn {line['turn']} is committed within {WITHIN_S:g} s of {line['t']:.3f}"
            for line in self._lines
            if line["type"] == "turn_committed"
        ]
        found += [
            f"agent starts speaking within {WITHIN_S:g} s of {line['t']:.3f}"
            for line in self._lines
            if line["type"] == "playback_started"
        ]
        for name in dict.fromkeys(line["name"] for line in self._lines if line["type"] == "tool_started"):
            times = sum(line["type"] == "tool_started" and line["name"] == name for line in self._lines)
            found.append(f"tool {name} is called {times} times" if times > 1 else f"tool {name} is called once")
        events: list[Event] = [event_of(line, at=float(line["t"])) for line in self._lines]
        found += [f"user turn {turn.turn} is answered" for turn in waterfalls(events) if turn.gap is not None]
        for kind in ("interruption_confirmed", "agent_false_interruption"):
            count = sum(line["type"] == kind for line in self._lines)
            found.append(f"{count} events of {kind}" if count else f"no event {kind}")
        return found


def _of_reading(voices: list[_Voice], line: Json) -> _Voice:
    """The voice that a reading is of: the one that sounds, or the last, unless that has begun only just now."""
    if len(voices) > 1 and line["is_final"] and line["t"] - voices[-1].onset < 0.15:
        return voices[-2]
    return voices[-1]


def _said(got: Json) -> str:
    if "text" in got:
        return str(got["text"])
    return str(((got.get("chunk") or {}).get("delta") or {}).get("content") or "")


def _calls(got: Json) -> list[Json]:
    return list(((got.get("chunk") or {}).get("delta") or {}).get("tool_calls") or ())


def _arguments(text: str) -> Json:
    try:
        given = json.loads(text or "{}")
    except ValueError:
        return {}
    return given if isinstance(given, dict) else {}


def _median(values: list[float], default: float) -> float:
    return round(max(0.0, statistics.median(values)), 3) if values else default


def _beside_defaults(given: Json) -> Json:
    """Of the settings those that are not the default's."""
    defaults = TurnHandling.of(None)
    told: Json = {}
    for key, value in given.items():
        default = getattr(defaults, key)
        if isinstance(value, dict):
            inner = {name: each for name, each in value.items() if each != getattr(default, name)}
            if inner:
                told[key] = inner
        elif value != default:
            told[key] = value
    return told
