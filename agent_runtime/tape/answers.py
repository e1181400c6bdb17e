"""The nodes, tools and hooks of a call, played by its tape.

What was asked finds its answer by these rules, one after another:

1. the first answer not given yet to the same question (the user's words and what tools said since; a phrase's text);
2. an answer to the same question that was given already;
3. the first answer not given yet of the same turn;
4. the first answer not given yet at all;
5. none: an error that names the question.

What is not found by the first rule is an `error` event with the source ``tape``, and stands in `Answers.notes`.

An answer's times count from its request; what a recogniser said counts from the sound, which is the same.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent_runtime import clock, events
from agent_runtime.audio.endpoints import AudioSource
from agent_runtime.audio.frame import AudioFrame
from agent_runtime.errors import ProviderError
from agent_runtime.events import Event
from agent_runtime.llm import LLM, ChatChunk, LLMStream, reporting
from agent_runtime.stt import STT, RecognizeStream, SpeechEvent, STTContext
from agent_runtime.tape.conductor import Conductor, Mark
from agent_runtime.tools import Tool, ToolChoice
from agent_runtime.trace import codec
from agent_runtime.trace.tape import Json, Tape, unpack, unpack_floats
from agent_runtime.tts import TTS
from agent_runtime.vad import VAD, VADEvent, VADStream

if TYPE_CHECKING:
    from agent_runtime.trace.log import EventLog

WHAT = {
    "stt": "the recogniser",
    "llm": "the model",
    "tts": "the synthesiser",
    "detector": "the turn detector",
    "tool": "a tool",
    "hook": "a hook",
}


@dataclass(slots=True)
class Answer:
    """What a request of the tape was answered with."""

    node: str
    asked: Json
    mark: Mark
    turn: int | None
    items: list[tuple[int, Json]] = field(default_factory=list)
    """Each answer with the number of its record."""
    end: Json | None = None
    given: int = 0
    asked_at: float | None = None
    """When it was asked for in the replay."""

    @property
    def text(self) -> str:
        return str(self.asked.get("text", ""))

    @property
    def id(self) -> int:
        return int(self.asked["id"])


class Answers:
    """All answers on a tape, and which of them were given."""

    def __init__(self, tape: Tape, conductor: Conductor, log: "EventLog") -> None:
        self.tape = tape
        self.conductor = conductor
        self.notes: list[str] = []
        """What the tape had no answer to, a sentence each."""
        self.tell: Callable[[Json], None] = _nobody
        """Called with what an overridden node or an engine told the session: a `phrase`, a `restart`."""
        self._log = log
        self._all: dict[int, Answer] = {}
        self._begun: dict[int, list[Callable[[float], object]]] = {}
        self._failures: dict[str, list[tuple[Mark, Json]]] = {}
        self._turn: int | None = None
        self._by_speech: dict[str, int | None] = {}
        self._read()
        log.subscribe(self._follow)

    def _read(self) -> None:
        turn: int | None = None
        turns: dict[str, int | None] = {}
        for number, record in enumerate(self.tape.records):
            kind = record["r"]
            if kind == "event":
                line = record["line"]
                if line["type"] == "speech_created":
                    turns[line["speech_id"]] = line["turn"]
                turn = turns.get(line.get("speech_id", ""), turn)
            elif kind == "ask":
                self._all[record["id"]] = Answer(record["node"], record, Mark.of(record["m"]), turn)
            elif kind == "got":
                self._all[record["id"]].items.append((number, record))
            elif kind == "answer" and "error" in record:
                self._failures.setdefault(record["of"], []).append((Mark.of(record["m"]), record["error"]))
            elif kind == "end" and "id" in record:
                self._all[record["id"]].end = record

    def _follow(self, event: Event) -> None:
        if isinstance(event, events.SpeechCreated):
            self._by_speech[event.speech_id] = event.turn
        speech_id = getattr(event, "speech_id", None)
        if speech_id in self._by_speech:
            self._turn = self._by_speech[speech_id]

    # Finding

    def of(self, node: str) -> list[Answer]:
        return [answer for answer in self._all.values() if answer.node == node]

    def number(self, ask_id: int) -> Answer:
        return self._all[ask_id]

    def find(self, node: str, text: str, **same: Any) -> Answer:
        """The answer to a question, by the rules above.

        Args:
            same: what of the request must be the same besides.

        Raises:
            ProviderError: the tape has none.
        """
        all_of = [each for each in self.of(node) if all(each.asked.get(k) == value for k, value in same.items())]
        fresh = [each for each in all_of if not each.given]
        asked = [each for each in all_of if each.text == text]
        rules = (
            ([each for each in fresh if each.text == text], None),
            (asked[-1:], "it is given once more"),
            ([each for each in fresh if each.turn == self._turn], "the answer to the same turn is given"),
            (fresh, "the next one is given"),
        )
        for found, note in rules:
            if found:
                if note is not None:
                    self._note(node, text, note if note.startswith("it") else f"{note}: {found[0].text!r}")
                return self.begun(found[0])
        self._note(node, text, "and there are none left")
        raise ProviderError(f"The tape has no answer of {WHAT.get(node, node)} to {text!r}", provider="tape")

    def _note(self, node: str, text: str, what: str) -> None:
        sentence = f"The tape has no answer of {WHAT.get(node, node)} to {text!r}; {what}."
        self.notes.append(sentence)
        self._log.append(events.Error(at=clock.now(), source="tape", message=sentence, recoverable=True))

    def begun(self, answer: Answer) -> Answer:
        """It is being given; who counts from its request is told."""
        answer.given += 1
        answer.asked_at = clock.now()
        for told in self._begun.pop(answer.id, ()):
            told(clock.now())
        return answer

    def when_asked(self, ask_id: int, told: Callable[[float], object]) -> None:
        """Call `told` with the time at which this is asked in the replay."""
        self._begun.setdefault(ask_id, []).append(told)

    def fail_again(self, of: str) -> None:
        """Raise what the detector or the sink has raised at this time of the call."""
        failures = self._failures.get(of)
        if failures and self.conductor.is_next(failures[0][0], failures[0][0].at):
            raise codec.error_back(failures.pop(0)[1])

    # Giving

    async def play(
        self, answer: Answer, *, from_the_sound: bool = False, pulls: AsyncIterable[str] | None = None
    ) -> AsyncGenerator[Any]:
        """Give an answer again, each item when it comes.

        Args:
            from_the_sound: its times are those of the call, and not of the request.
            pulls: the text that the node is given, of which it takes what it took.
        """
        asked = answer.asked_at if answer.asked_at is not None else clock.now()
        text = aiter(pulls) if pulls is not None else None
        accounts = [got for _, got in answer.items if "call" in got]
        try:
            async for item in self._items(answer, asked, text, accounts, from_the_sound=from_the_sound):
                yield item
        finally:
            if self.conductor.exact:  # it is closed, and that is when these came
                for got in accounts:
                    _account(got)

    async def _items(
        self,
        answer: Answer,
        asked: float,
        text: AsyncIterator[str] | None,
        accounts: list[Json],
        *,
        from_the_sound: bool,
    ) -> AsyncGenerator[Any]:
        for number, got in answer.items:
            if "pull" in got:
                await _pull(text, got["pull"])
                continue
            mark = Mark.of(got["m"])
            if from_the_sound and mark.at < asked and asked != answer.mark.at:
                continue  # nobody listened yet
            await self.conductor.arrival(mark, mark.at if from_the_sound else due(mark, answer.mark, asked))
            if "restart" in got or "phrase" in got:
                self.tell(got)
            elif "call" in got:
                accounts.remove(got)
                _account(got)
            else:
                yield codec.item_back(got, self._sound(number, got))
        cut = answer.end is not None and answer.end.get("left")
        if answer.end is None or (cut and (self.conductor.exact or answer.node not in ("llm", "tts", "tool"))):
            await asyncio.get_running_loop().create_future()  # it is cut off here, too
            return
        mark = Mark.of(answer.end["m"])
        if cut:
            self._note(answer.node, answer.text, "it was cut off on the tape, and ends there")
        if not answer.end.get("now"):
            await self.conductor.arrival(mark, mark.at if from_the_sound else due(mark, answer.mark, asked))
        if answer.end.get("error") is not None:
            raise codec.error_back(answer.end["error"])

    def _sound(self, number: int, got: Json) -> bytes:
        return self.tape.sound(number) if "frame" in got else b""

    async def wait_for_end(self, answer: Answer) -> Json:
        """Wait until this is over, as it was. Returns its end; what it raised is raised."""
        async for _ in self.play(answer):
            pass
        assert answer.end is not None
        return answer.end


def _account(got: Json) -> None:
    """Report what a request to a model came to."""
    report = reporting.get()
    if report is not None:
        report(codec.model_call_back(got["call"]))


def due(mark: Mark, asked_then: Mark, asked_now: float) -> float:
    """When it comes: as long after its request as it did then."""
    if asked_now == asked_then.at:
        return mark.at  # exactly
    return asked_now + (mark.at - asked_then.at)


def _nobody(_: Json) -> None:
    """Until the session is there."""


async def _pull(text: AsyncIterator[str] | None, piece: str | None) -> None:
    if text is None:
        return
    try:
        await anext(text)
    except StopAsyncIteration:
        return


# The caller


class TapeSource(AudioSource):
    """The caller's sound, frame by frame, when it came."""

    def __init__(self, answers: Answers, on_frame: Callable[[AudioFrame], object]) -> None:
        self._answers = answers
        self._on_frame = on_frame
        self._closed = False

    async def frames(self) -> AsyncIterator[AudioFrame]:
        answers = self._answers
        for number, record in answers.tape.of("frames"):
            data = answers.tape.sound(number)
            marks = unpack_floats(data[: record["marks"]])
            pcm = unpack(record["codec"], data[record["marks"] :])
            first = 0
            for index in range(0, len(marks), 5):
                at, size, *mark = marks[index : index + 5]
                came = Mark.of(mark)
                await answers.conductor.arrival(came, came.at)
                if self._closed:
                    return
                frame = AudioFrame(pcm[first : first + int(size)], record["rate"], at=at)
                self._on_frame(frame)
                yield frame
                first += int(size)
        source = next(iter(answers.of("source")), None)
        if source is not None:
            async for _ in answers.play(source, from_the_sound=True):
                pass
        else:
            await asyncio.get_running_loop().create_future()

    async def aclose(self) -> None:
        self._closed = True


class TapeVAD(VAD):
    def __init__(self, answers: Answers, label: str) -> None:
        self._answers = answers
        self.label = label

    def stream(self) -> VADStream:
        self._answers.fail_again("vad")
        return _TapeVADStream(self._answers)


class _TapeVADStream(VADStream):
    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._said = {record["frame"]: record["said"] for _, record in answers.tape.of("vad")}
        self._frames = 0

    def push(self, frame: AudioFrame) -> list[VADEvent]:
        self._answers.fail_again("vad")
        number, self._frames = self._frames, self._frames + 1
        return [codec.vad_event_back(told) for told in self._said.get(number, ())]


# The models


class TapeSTT(STT):
    def __init__(self, answers: Answers, told: Json) -> None:
        self._answers = answers
        self.label = told["label"]
        self.needs_vad = told["needs_vad"]
        self.uses_tools = told["uses_tools"]

    def stream(self, *, language: str | None = None, context: STTContext | None = None) -> RecognizeStream:
        return _TapeRecognition(self._answers)


class _TapeRecognition(RecognizeStream):
    """Goes on where the stream before left off, for a recogniser of the tape that was started anew."""

    def __init__(self, answers: Answers) -> None:
        super().__init__()
        self._answers = answers

    async def recognize(self, audio: AsyncIterator[AudioFrame]) -> AsyncIterator[SpeechEvent]:
        answers = self._answers
        fresh = [each for each in answers.of("stt") if not each.given]
        if not fresh:
            await asyncio.get_running_loop().create_future()
        async for said in answers.play(answers.begun(fresh[0]), from_the_sound=True):
            yield said


class TapeLLM(LLM):
    def __init__(self, answers: Answers, label: str) -> None:
        self._answers = answers
        self.label = label

    def chat(self, *, chat_ctx: Any, tools: Sequence[Tool] = (), tool_choice: ToolChoice | None = None) -> LLMStream:
        answer = self._answers.find("llm", codec.last_said(chat_ctx))
        end = answer.end
        if not answer.items and end is not None and end.get("error") and end["m"][0] == answer.mark.at:
            raise codec.error_back(end["error"])  # it was refused at once
        return _TapeAnswer(self._answers, answer)


class _TapeAnswer(LLMStream):
    def __init__(self, answers: Answers, answer: Answer) -> None:
        self._answers = answers
        self._answer = answer

    def generate(self) -> AsyncIterator[ChatChunk]:
        return self._answers.play(self._answer)


class TapeTTS(TTS):
    def __init__(self, answers: Answers, told: Json) -> None:
        self._answers = answers
        self._rate = int(told.get("sample_rate", 24_000))
        self.label = told["label"]
        self.word_times = told.get("word_times", False)

    @property
    def sample_rate(self) -> int:
        return self._rate

    def synthesize(self, text: str) -> AsyncIterator[AudioFrame]:
        return self._answers.play(self._answers.find("tts", text))


class TapeDetector:
    """The application's own turn detector, by its answers."""

    def __init__(self, answers: Answers, label: str) -> None:
        self._answers = answers
        self._label = label

    @property
    def label(self) -> str:
        return self._label

    def predict(self, turn: Any) -> Any:
        answer = self._answers.find("detector", turn.text)
        end = answer.end
        if end is None or not end.get("now"):
            return self._later(answer)
        if end.get("error") is not None:
            raise codec.error_back(end["error"])
        return end["value"]

    async def _later(self, answer: Answer) -> Any:
        return (await self._answers.wait_for_end(answer))["value"]
