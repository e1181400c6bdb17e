"""The scripted nodes keep their times exactly, as the page on scenarios says."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from agent_runtime import clock, virtual
from agent_runtime.chat import ChatContext
from agent_runtime.testing import Fail, OutOfScript, Pause, ScriptedLLM, ScriptedSTT, ScriptedTTS, ToolCall, simulate
from agent_runtime.testing.caller import Caller, Line
from agent_runtime.testing.result import CallResult


def heard(call: CallResult, *, final: bool) -> list[tuple[float, str]]:
    return [
        (event["t"], event["transcript"])
        for event in call.events
        if event["type"] == "user_input_transcribed" and event["is_final"] is final
    ]


def of(call: CallResult, kind: str) -> list[float]:
    return [event["t"] for event in call.events if event["type"] == kind]


def told(caller: list[dict[str, Any]], *, until: float = 6.0, **models: Any) -> CallResult:
    return simulate({"models": {"llm": {"replies": "Yes."}, **models}, "caller": caller, "until": until})


# Voice activity


def test_a_voice_is_found_in_the_frame_in_which_it_starts() -> None:
    for at in (0.5, 0.513, 0.519):
        call = told([{"at": at, "say": "hello", "for": 0.5}])
        (event,) = [event for event in call.events if event["type"] == "voice_started"]
        assert event["t"] == 0.52
        assert event["onset"] == pytest.approx(at, abs=1 / 16_000)


def test_it_has_stopped_when_min_silence_has_gone_by() -> None:
    call = told([{"at": 0.5, "say": "hello", "for": 0.5}], vad={"min_silence": 0.31})
    (event,) = [event for event in call.events if event["type"] == "voice_stopped"]
    assert event["t"] == 1.32
    assert event["last_voiced"] == 1.0


# Words


def test_interims_hold_the_words_begun_by_then() -> None:
    call = told([{"at": 0.5, "say": "one two three four", "for": 2.0}], stt={"interim_every": 0.4, "delay": 0.3})
    assert heard(call, final=False) == [
        (0.9, "one"),
        (1.3, "one two"),
        (1.7, "one two three"),
        (2.1, "one two three four"),
        (2.5, "one two three four"),
    ]
    assert heard(call, final=True) == [(2.8, "one two three four")]


def test_no_interims_come_where_none_are_wanted() -> None:
    for none in (0, None):
        call = told([{"at": 0.5, "say": "one two", "for": 2.0}], stt={"interim_every": none})
        assert heard(call, final=False) == []
        assert heard(call, final=True) == [(2.7, "one two")]


def test_a_noise_has_an_empty_final_unless_somebody_speaks_meanwhile() -> None:
    assert heard(told([{"at": 1.0, "cough": True, "for": 0.5}]), final=True) == [(1.7, "")]
    both = told([{"at": 0.5, "say": "one two", "for": 2.0}, {"at": 1.0, "cough": True, "for": 0.5}])
    assert heard(both, final=True) == [(2.7, "one two")]


@pytest.mark.parametrize(("finals", "times"), [("never", []), ("twice", [1.7, 2.7]), ("late", [4.7]), ("once", [1.7])])
def test_finals_that_go_wrong(finals: str, times: list[float]) -> None:
    call = told([{"at": 0.5, "say": "hello", "for": 1.0}], stt={"finals": finals, "late_by": 3.0})
    assert [t for t, _ in heard(call, final=True)] == times


def test_interims_that_shrink() -> None:
    call = told([{"at": 0.5, "say": "one two three", "for": 0.9}], stt={"interim_every": 0.3, "shrinking": True})
    assert [text for _, text in heard(call, final=False)] == ["one two", "one two", "one two three"]
    grows = told([{"at": 0.5, "say": "one two three", "for": 0.9}], stt={"interim_every": 0.3})
    assert [text for _, text in heard(grows, final=False)] == ["one two", "one two three", "one two three"]


def test_what_the_recogniser_reads_may_be_something_else() -> None:
    call = told([{"at": 0.5, "cough": True, "for": 0.4, "heard_as": "huh", "confidence": 0.3}])
    (event,) = [e for e in call.events if e["type"] == "user_input_transcribed" and e["is_final"]]
    assert (event["transcript"], event["confidence"]) == ("huh", 0.3)


def test_readings_never_take_words_back() -> None:
    stt = ScriptedSTT(Caller(), interim_every=0.07)
    texts = [event.alternatives[0].text for _, event in stt.readings(Line(0.1, "a b c d e f g", 1.3))]
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(texts))
    assert texts[-1] == "a b c d e f g"


# The model


def tokens(llm: ScriptedLLM) -> list[tuple[float, str]]:
    async def main() -> list[tuple[float, str]]:
        found = []
        async with llm.chat(chat_ctx=ChatContext.empty()) as stream:
            async for chunk in stream:
                assert chunk.delta is not None
                found.append((round(clock.now(), 6), chunk.delta.content or chunk.delta.tool_calls[0].name))
        return found

    return virtual.run(main())


def test_tokens_come_at_their_rate() -> None:
    llm = ScriptedLLM({"*": "One two, three."}, ttft=0.3, tokens_per_second=4)
    assert tokens(llm) == [(0.3, "One "), (0.55, "two, "), (0.8, "three.")]


def test_a_pause_moves_what_comes_behind_it() -> None:
    llm = ScriptedLLM({"*": ["One two", Pause(1.0), ToolCall("work")]}, ttft=0.1, tokens_per_second=10)
    assert tokens(llm) == [(0.1, "One "), (0.2, "two"), (1.3, "work")]


def test_a_token_is_a_word_with_what_follows_it() -> None:
    llm = ScriptedLLM({"*": " One  two,\nthree.\n"}, ttft=0.1, tokens_per_second=10)
    assert [token for _, token in tokens(llm)] == [" ", "One  ", "two,\n", "three.\n"]


def test_texts_of_an_answer_are_words_apart() -> None:
    call = told([{"at": 0.5, "say": "hi", "for": 0.5}], llm={"replies": {"hi": ["One.", {"pause": 0.5}, "Two."]}})
    call.expect("history agent 1 is 'One. Two.'")


def test_what_was_said_is_looked_up_whatever_its_white_space() -> None:
    tools = {"look": {"returns": "three\n left"}}
    replies = {"hi": {"call": "look"}, "three  left": "Found."}
    call = simulate(
        {"session": {"tools": tools}, "models": {"llm": {"replies": replies}}, "caller": [{"say": "hi"}], "until": 5}
    )
    call.expect("agent says 'Found.'")


def test_a_model_fails_as_its_script_says() -> None:
    with pytest.raises(ConnectionError, match="gone"):
        tokens(ScriptedLLM({"*": ["One", Fail(ConnectionError("gone"))]}))


def test_a_list_answers_one_request_after_another() -> None:
    llm = ScriptedLLM(["First.", "Second."], ttft=0)
    assert [tokens(llm)[0][1] for _ in range(2)] == ["First.", "Second."]
    with pytest.raises(OutOfScript, match="has 2 replies and was asked once more"):
        tokens(llm)


def test_no_answer_is_an_error_that_names_what_was_said() -> None:
    call = told([{"at": 0.5, "say": "hello", "for": 0.5}], llm={"replies": {"good-bye": "Bye."}})
    assert call.failure is not None
    assert call.failure.startswith("OutOfScript: The scripted LLM has no reply to 'hello'")
    assert call.length < 2.0, "the call is over at once"
    assert not call.ok
    with pytest.raises(AssertionError, match="no reply to 'hello'"):
        call.check()


# The synthesiser


def frames(tts: ScriptedTTS, text: str) -> list[tuple[float, int, list[str]]]:
    async def main() -> list[tuple[float, int, list[str]]]:
        found = []
        async for frame in tts.synthesize(text):
            words = [f"{word.text} {word.start:.2f}" for word in frame.words]
            found.append((round(clock.now(), 6), frame.samples_per_channel, words))
        return found

    return virtual.run(main())


def test_frame_k_comes_in_time() -> None:
    made = frames(ScriptedTTS(ttfb=0.3, words_per_second=10, real_time_factor=0.5), "one two")
    assert [at for at, _, _ in made] == [round(0.3 + k * 0.02 * 0.5, 6) for k in range(10)]
    assert sum(samples for _, samples, _ in made) == 4800
    assert [words for _, _, words in made if words] == [["one 0.00"], ["two 0.00"]]


def test_a_synthesiser_without_word_times_has_none() -> None:
    assert not any(words for _, _, words in frames(ScriptedTTS(word_times=False), "one two"))


@pytest.mark.parametrize("tts", [ScriptedTTS(dies_after_samples=1000), ScriptedTTS(fails_after_s=1000 / 24_000)])
def test_it_dies_after_so_many_samples(tts: ScriptedTTS) -> None:
    got: list[int] = []

    async def main() -> None:
        async for frame in tts.synthesize("one two three"):
            got.append(frame.samples_per_channel)  # noqa: PERF401  # what came before it died is kept

    for _ in range(2):
        with pytest.raises(RuntimeError, match="died"):
            virtual.run(main())
    assert got == [480, 480, 40]


# Together


@pytest.mark.parametrize("shift", [0.0, 0.003])
def test_the_parts_of_an_answer_are_those_of_the_script(shift: float) -> None:
    call = simulate(
        {
            "models": {
                "stt": {"delay": 0.2},
                "llm": {"ttft": 0.1, "tokens_per_second": 80, "replies": "The bakery, until nine."},
                "tts": {"ttfb": 0.2, "words_per_second": 3.0, "real_time_factor": 0.1},
            },
            "session": {"turn_handling": {"endpointing": {"min_delay": 0.5, "max_delay": 3.0}}},
            "caller": [{"at": 0.5 + shift, "say": "What is open?", "for": 1.2}],
            "until": 6.0,
        }
    )
    (begin, end) = call.audible["agent"][0]
    spoken = 1.7 + shift
    # The second token ends the first clause, "The bakery,".
    assert begin == pytest.approx(spoken + 0.5 + 0.1 + 1 / 80 + 0.2, abs=1 / 16_000)
    assert end - begin == pytest.approx(4 / 3, abs=1e-4)


def test_every_reply_to_a_context_may_be_a_function() -> None:
    answer: Callable[[ChatContext], str] = lambda ctx: f"You said {len(ctx.items)} things."  # noqa: E731
    assert tokens(ScriptedLLM(answer))[-1][1] == "things."
