"""Smart Turn with a model of 4 KB that the test makes: onnxruntime loads it, and it judges by the sound of a call."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent_runtime import AgentSession, clock, virtual
from agent_runtime.errors import UsageError
from agent_runtime.events import Error, TurnCommitted, TurnPredicted
from agent_runtime.explain import explain
from agent_runtime.inference.descriptor import planning
from agent_runtime.providers.local import smart_turn
from agent_runtime.providers.local.smart_turn import INSTALL, SHAPE, SmartTurn, features
from agent_runtime.testing.scripted import Line
from agent_runtime.turns.detectors import TurnDetector, TurnSoFar
from tests.providers.local.tiny_models import make_smart_turn
from tests.scripted_call import Plain, Told, call

RATE = 16_000
LOUD = np.random.default_rng(3).integers(-8000, 8000, 20 * RATE, np.int16)


def pcm(*, seconds: float, loud: bool = True) -> bytes:
    samples = LOUD[: int(seconds * RATE)]
    return (samples if loud else samples // 4000).tobytes()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    pytest.importorskip("onnxruntime", reason=INSTALL)
    pytest.importorskip("onnx", reason="the test makes a model: pip install onnx")
    make_smart_turn(tmp_path / "tiny.onnx")
    return tmp_path / "tiny.onnx"


def with_detector(model: Path, ask: Callable[[SmartTurn], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        detector = SmartTurn(model)
        try:
            return await ask(detector)
        finally:
            await detector.aclose()

    return virtual.run(main())


def judged(model: Path, audio: bytes | None) -> float | None:
    answer: float | None = with_detector(model, lambda detector: detector.predict(turn(audio)))
    return answer


def turn(audio: bytes | None) -> TurnSoFar:
    return TurnSoFar("one two", "en", 0.0, audio=audio)


# The detector


def test_it_is_a_turn_detector(model: Path) -> None:
    detector = SmartTurn(str(model))
    assert isinstance(detector, TurnDetector)
    assert detector.label == f"local/smart-turn?model={model}"


def test_short_sound_is_padded_on_the_left() -> None:
    found = features(pcm(seconds=2.0))
    assert found.shape == SHAPE
    assert found[:, 605:795].mean() > found[:, 5:595].mean() + 0.5
    assert np.ptp(found[:, 5:595], axis=1).max() < 1e-3  # silence: in each band the same


def test_of_longer_sound_the_last_eight_seconds_count() -> None:
    ends = pcm(seconds=8.0)
    assert np.array_equal(features(pcm(seconds=5.0, loud=False) + ends), features(ends))
    assert not np.array_equal(features(pcm(seconds=12.0)), features(ends))


def test_loudness_makes_no_difference() -> None:
    loud = np.frombuffer(pcm(seconds=3.0), np.int16)
    assert features((loud // 8).tobytes()) == pytest.approx(features(loud.tobytes()), abs=0.02)


def test_it_answers_with_the_probability_of_the_model(model: Path) -> None:
    rising, falling = judged(model, pcm(seconds=2.0)), judged(model, pcm(seconds=4.0) + bytes(4 * RATE * 2))
    assert rising is not None
    assert falling is not None
    assert rising > 0.9
    assert falling < 0.1


def test_without_sound_it_has_no_opinion(model: Path) -> None:
    assert judged(model, None) is None
    assert judged(model, b"") is None


def test_it_works_beside_the_loop(model: Path) -> None:
    async def threads(detector: SmartTurn) -> list[str]:
        await detector.prewarm()
        here = threading.get_ident()
        ran: list[int] = []
        run = detector._loaded()._run
        detector._loaded()._run = lambda *given: ran.append(threading.get_ident()) or run(*given)  # type: ignore[func-returns-value]
        await asyncio.gather(*(detector.predict(turn(pcm(seconds=1.0))) for _ in range(3)))
        assert here not in ran
        return [str(each) for each in set(ran)]

    assert len(with_detector(model, threads)) == 1


def test_detectors_share_what_is_loaded_until_the_last_is_gone(model: Path) -> None:
    async def both(one: SmartTurn) -> bool:
        other = SmartTurn(str(model))
        try:
            await one.prewarm()
            await other.prewarm()
            return one._model is other._model
        finally:
            await other.aclose()

    assert with_detector(model, both)
    for thread in threading.enumerate():
        if thread.name.startswith("smart-turn"):
            thread.join()  # it held the model while it worked
    assert (model.resolve(), model.stat().st_mtime) not in smart_turn._models


def test_a_changed_file_is_loaded_again(model: Path) -> None:
    async def again(one: SmartTurn) -> bool:
        await one.prewarm()
        os.utime(model, (1.0, 1.0))
        other = SmartTurn(model)
        try:
            await other.prewarm()
            return one._model is not other._model
        finally:
            await other.aclose()

    assert with_detector(model, again)


# What may be wrong


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ({"frames": 3000}, "from tensor(float) ['batch', 80, 3000]"),
        ({"bands": 128}, "from tensor(float) ['batch', 128, 800]"),
        ({"turns": 2}, "to tensor(float) ['batch', 2]"),
    ],
)
def test_another_shape_is_named(model: Path, shape: dict[str, int], told: str) -> None:
    make_smart_turn(model, **shape)
    with pytest.raises(UsageError) as caught:
        with_detector(model, lambda detector: detector.prewarm())
    assert told in str(caught.value)
    assert str(model) in str(caught.value)
    assert "Smart Turn v3" in str(caught.value)


def test_a_file_that_is_no_model_is_named(model: Path) -> None:
    model.write_bytes(b"no model")
    with pytest.raises(UsageError, match="is no model that onnxruntime reads") as caught:
        with_detector(model, lambda detector: detector.prewarm())
    assert str(model) in str(caught.value)


def session(name: str) -> AgentSession[Any]:
    return AgentSession(turn_handling={"turn_detection": name})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("local/smart-turn", "needs model=; write 'local/smart-turn?model=...'"),
        ("local/smart-turn?modle=x.onnx", "did you mean 'model'"),
        ("local/smart-turn?model=/nowhere.onnx", "'/nowhere.onnx' of local/smart-turn does not exist; name the .onnx"),
        ("local/smart-turn:/nowhere.onnx", "'/nowhere.onnx' of local/smart-turn does not exist"),
        ("local/smartturn?model=x.onnx", "Did you mean 'local/smart-turn'?"),
        ("smart-turn", "Did you mean 'local/smart-turn'?"),
        ("vadd", "Did you mean 'vad'?"),
    ],
)
def test_what_is_wrong_is_said_when_the_session_is_built(name: str, message: str) -> None:
    pytest.importorskip("onnxruntime", reason=INSTALL)
    with pytest.raises(UsageError) as caught:
        session(name)
    assert message in str(caught.value)


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason=INSTALL)
    with pytest.raises(UsageError, match="is a folder"):
        session(f"local/smart-turn?model={tmp_path}")


def test_a_missing_package_is_said_with_its_extra(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smart_turn, "distribution_version", lambda name: None)
    with pytest.raises(
        UsageError, match=r"needs the package onnxruntime; install it with: pip install 'agent"
    ) as caught:
        session(f"local/smart-turn?model={model}")
    assert INSTALL in str(caught.value)
    with pytest.raises(UsageError, match="needs the package onnxruntime"):
        SmartTurn(model)


def test_explain_shows_it(model: Path) -> None:
    found = explain(session(f"local/smart-turn?model={model}"))
    (line,) = [line for line in found.text.splitlines() if "turn detection" in line]
    assert f"local/smart-turn?model={model}  ready  SmartTurn " in line
    assert "on this machine  MIT; the model has its own" in line
    with planning():
        found = explain(session("local/smart-turn?model=/nowhere.onnx"))
    assert not found.ok
    assert "local/smart-turn?model=/nowhere.onnx  missing" in found.text
    assert "1. The model '/nowhere.onnx' of local/smart-turn does not exist" in found.text


# In a call


LINES = [Line(0.5, "what is open", 1.0), Line(6.0, "and what is not", 1.5)]


def in_call(model: Path, **more: Any) -> Told:
    return call(LINES, turn_handling={"turn_detection": f"local/smart-turn?model={model}"}, **more)


def test_a_call_is_advised_by_its_sound(model: Path) -> None:
    told = in_call(model)
    label = f"local/smart-turn?model={model}"
    advice = told.of(TurnPredicted)
    assert {event.detector for event in advice} == {label}
    assert all(event.probability is not None and event.probability > 0.9 for event in advice)
    assert [event.transcript for event in told.of(TurnCommitted)] == ["what is open", "and what is not"]
    assert told.of(Error) == []


def test_played_twice_it_is_the_same(model: Path) -> None:
    one, other = in_call(model), in_call(model)
    assert [(event.type, event.at) for event in one.events] == [(event.type, event.at) for event in other.events]
    assert [event.probability for event in one.of(TurnPredicted)] == [
        event.probability for event in other.of(TurnPredicted)
    ]


def test_a_session_does_not_start_with_a_model_of_another_shape(model: Path) -> None:
    make_smart_turn(model, frames=3000)
    with pytest.raises(UsageError, match="80, 3000"):
        in_call(model)


def test_the_session_ends_the_thread_of_a_detector_it_made(model: Path) -> None:
    told = in_call(model)
    detector: Any = told.session.turn_handling.turn_detection
    with pytest.raises(RuntimeError, match="shutdown"):
        virtual.run(detector.predict(turn(pcm(seconds=1.0))))


def test_an_object_is_left_to_who_made_it(model: Path) -> None:
    async def main(detector: SmartTurn) -> float | None:
        built = AgentSession[Any](llm="local/rules", turn_handling={"turn_detection": detector})
        await built.start(Plain())
        await built.aclose()
        return await detector.predict(turn(pcm(seconds=1.0)))

    assert with_detector(model, main) is not None


def test_a_detector_may_be_named_in_the_call(model: Path) -> None:
    async def name(built: AgentSession[Any]) -> None:
        await clock.sleep_until(4.0)
        built.update_options(turn_detection=f"local/smart-turn?model={model}")

    told = call(LINES, then=name)
    assert [event.detector.partition("?")[0] for event in told.of(TurnPredicted)][-1] == "local/smart-turn"


# The sound that a detector is given


class Listens:
    """Takes every turn for complete, and keeps what it was given."""

    label = "listens"
    hears_s = 8.0

    def __init__(self) -> None:
        self.given: list[TurnSoFar] = []

    def predict(self, asked: TurnSoFar) -> float:
        self.given.append(asked)
        return 0.9


class Reads(Listens):
    hears_s = 0.0


@pytest.fixture(params=[0.2, 1.5])
def delay(request: pytest.FixtureRequest) -> Any:
    """Seconds until the recogniser's final: words, and the question, come with the silence or long after it."""
    return request.param


def heard(lines: list[Line], detector: Listens, *, delay: float = 0.2) -> list[TurnSoFar]:
    from agent_runtime.testing.scripted import ScriptedSTT

    call(
        lines,
        stt=lambda caller: ScriptedSTT(caller, delay=delay, interim_every=None),
        turn_handling={"turn_detection": detector},
        until=lines[-1].at + lines[-1].duration + 5.0,
    )
    return detector.given


def voiced(audio: bytes | None) -> tuple[float, float]:
    """Where the sound begins and ends, in seconds from the start."""
    assert audio is not None
    loud = np.flatnonzero(np.abs(np.frombuffer(audio, np.int16)) > 100)
    return loud[0] / RATE, (loud[-1] + 1) / RATE


def test_it_is_this_turn_with_a_little_silence_round_it(delay: float) -> None:
    one, two = heard([Line(2.0, "one two", 1.0), Line(9.0, "three", 0.5)], Listens(), delay=delay)
    for asked, seconds in ((one, 1.0), (two, 0.5)):
        start, end = voiced(asked.audio)
        assert start == pytest.approx(0.7, abs=0.03)
        assert end - start == pytest.approx(seconds, abs=0.03)
        assert asked.audio is not None
        assert len(asked.audio) / 2 / RATE - end == pytest.approx(0.2, abs=0.02)


def test_a_pause_does_not_begin_a_new_turn() -> None:
    asked = heard([Line(2.0, "one two", 1.0), Line(3.4, "three", 0.5)], Listens())[-1]
    assert asked.text == "one two three"
    start, end = voiced(asked.audio)
    assert end - start == pytest.approx(1.9, abs=0.03)


def test_of_a_long_turn_it_is_the_end() -> None:
    (asked,) = heard([Line(1.0, "on and on", 12.0)], Listens())
    assert asked.audio is not None
    assert voiced(asked.audio)[0] == 0.0
    assert 7.9 <= len(asked.audio) / 2 / RATE <= 8.0


def test_who_does_not_ask_for_it_is_given_none() -> None:
    (asked,) = heard([Line(1.0, "one two", 1.0)], Reads())
    assert asked.audio is None
