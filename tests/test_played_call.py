"""The recorded caller and the agent of agents/clock.py, with the real engines, from the command line to the files."""

import itertools
import json
import os
import re
import subprocess
import wave
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray

from agent_runtime import virtual
from agent_runtime.clock import Stopwatch
from agent_runtime.providers.local.espeak import EspeakTTS
from agent_runtime.trace.log import read_events
from agent_runtime.trace.waterfall import Waterfall, waterfalls
from tests.played import (
    CALLER,
    CLOCK,
    RATE,
    ROOT,
    Played,
    asking,
    caller,
    command,
    environment,
    first_question,
    play,
    room,
    run,
    spoken,
)

OUT_RATE = 24_000
WINDOW = OUT_RATE // 100


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Played, list[Path]]:
    """The call of the example, and two more of the same made at the same time in other folders.

    There are more of them than the machine has cores to spare, so none computes at the pace of the other. Each is a
    process of its own: in this one items were numbered before.
    """
    folders = [tmp_path_factory.mktemp("call") for _ in range(3)]
    surroundings: tuple[dict[str, str], ...] = (
        {},
        {"PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo"},
        {"PYTHONHASHSEED": "4711", "TZ": "UTC"},
    )
    children = [
        subprocess.Popen(
            command("console", os.path.relpath(CLOCK, folder), "--input", CALLER),
            cwd=folder,
            env=environment(**changes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for folder, changes in zip(folders, surroundings, strict=True)
    ]
    try:
        outputs = [child.communicate(timeout=120) for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()
    assert [child.returncode for child in children] == [0, 0, 0], outputs
    return Played(0, *outputs[0], folders[0]), folders[1:]


@pytest.fixture(scope="module")
def call(calls: tuple[Played, list[Path]]) -> Played:
    return calls[0]


def test_every_question_is_answered_and_the_agent_ends_the_call(call: Played) -> None:
    assert (call.status, call.err) == (0, "")
    assert call.understood == [
        "what time is it",
        "add milk to my shopping list",
        "what can you do",
        "stop",
        "what is seven times six",
        "what is on my shopping list",
        "what day is it",
        "goodbye",
    ]
    answers = dict(zip(call.understood, call.said[1:], strict=True))
    assert call.said[0] == "Hello, what can I do for you?"
    assert answers["what time is it"] == "It is nine thirty in the morning."
    assert answers["add milk to my shopping list"] == "I added milk."
    assert answers["what is seven times six"] == "Seven times six is forty-two."
    assert answers["what is on my shopping list"] == "On the list: milk."
    assert answers["what day is it"] == "Today is Monday, the fifth of January."
    assert call.tools == ["add_item", "read_list", "end_call"]
    (added,) = [event for event in call.of("tool_started") if event["name"] == "add_item"]
    assert json.loads(added["arguments"]) == {"item": "milk"}
    assert call.log[-1]["type"] == "close"
    assert call.log[-1]["t"] < 38, "the agent hangs up, before the recording is over"
    assert not call.of("error")
    assert not call.of("stalled")


def test_an_interruption_is_confirmed_by_words_and_cuts_the_answer(call: Played) -> None:
    (confirmed,) = call.of("interruption_confirmed")
    assert confirmed["reason"] == "words"
    (finished,) = [event for event in call.of("playback_finished") if event["interrupted"]]
    assert finished["speech_id"] == confirmed["speech_id"]
    (cut,) = [text for text in call.said if text.startswith("I can add an item")]
    assert cut == finished["heard"]
    assert finished["cut"].endswith("repeat what I said.")
    assert "repeat" not in cut
    assert f"~~{finished['cut']}~~" in call.out, "what was not heard is struck through"
    beyond = f"{cut} {finished['cut'].split()[0]}"
    assert _spoken_s(cut.rsplit(" ", 2)[0]) < finished["position"] < _spoken_s(beyond), "as far as there was time for"


def _spoken_s(text: str) -> float:
    """How long the agent's voice takes for it, which draws out the last word."""

    async def speak() -> float:
        tts = EspeakTTS()
        try:
            return sum([frame.duration async for frame in tts.synthesize(text)])
        finally:
            await tts.aclose()

    return virtual.run(speak())


def test_a_cough_pauses_the_answer_and_takes_nothing_from_it(call: Played) -> None:
    (resumed,) = call.of("agent_false_interruption")
    assert len(call.of("interruption_suspected")) == 2, "the other one is confirmed"
    paused = call.of("playout_paused")[-1]
    assert resumed["resumed"]
    assert resumed["position"] == paused["position"]
    assert resumed["t"] - paused["t"] < 1.0
    assert "Today is Monday, the fifth of January." in call.said


def test_after_a_cough_the_agent_goes_on_from_the_very_sample(tmp_path: Path) -> None:
    both = caller()
    silent = both.copy()
    silent[round(28.8 * RATE) : round(30.0 * RATE)] = room(1.2)
    part = slice(round(26.8 * RATE), round(33.5 * RATE))
    coughed = play(tmp_path / "coughed", np.concatenate([room(2.0), both[part]]))
    undisturbed = play(tmp_path / "undisturbed", np.concatenate([room(2.0), silent[part]]))

    start = _samples(coughed.of("playback_started")[-1]["t"])
    assert start == _samples(undisturbed.of("playback_started")[-1]["t"])
    ducked, paused, resumed = (
        _samples(coughed.of(kind)[-1]["t"])
        for kind in ("interruption_suspected", "playout_paused", "agent_false_interruption")
    )
    position = _samples(coughed.of("playout_paused")[-1]["position"])
    heard, whole = coughed.lanes()[1], undisturbed.lanes()[1]
    assert np.array_equal(heard[start:ducked], whole[start:ducked])
    assert not heard[paused:resumed].any()
    rest = len(whole) - start - position
    after = heard[resumed : resumed + rest]
    fade = OUT_RATE // 50
    assert np.array_equal(after[fade:], whole[start + position + fade :][: len(after) - fade])
    assert np.abs(after[:fade]).max() <= np.abs(whole[start + position :][:fade]).max()
    assert coughed.said == undisturbed.said


def _samples(seconds: float) -> int:
    return round(seconds * OUT_RATE)


# What is written


def test_the_recording_holds_the_caller_left_and_the_agent_right(call: Played) -> None:
    with wave.open(str(call.folder / "call.wav")) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, OUT_RATE, 2)
        length_s = file.getnframes() / OUT_RATE
    assert length_s == pytest.approx(call.log[-1]["t"], abs=0.02)
    left, right = call.lanes()
    question = slice(_samples(2.3), _samples(3.1))
    greeting = slice(_samples(0.2), _samples(1.5))
    assert _level(left[question]) > 1000
    assert not right[question].any()
    assert _level(left[greeting]) < 20
    assert _level(right[greeting]) > 1000


def test_the_picture_is_xml_and_names_every_turn(call: Played) -> None:
    root = ElementTree.parse(call.folder / "call.svg").getroot()
    assert root.tag.endswith("svg")
    text = " ".join(root.itertext())
    for word in ("add_item", "seven times six"):
        assert word in text


def test_the_waterfall_says_what_was_heard(call: Played) -> None:
    """Its parts sum to its gap, and its gap is the silence in the recording.

    The silence begins where the caller's sound falls to that of the room, and the detector of voice, which looks at 32 ms
    at a time, lets a word fade for up to three such windows.
    """
    left, right = (_levels(lane) for lane in call.lanes())
    turns = waterfalls(read_events(call.folder / "call.jsonl"))
    assert len(turns) == 8
    differences = []
    for turn in turns:
        parts = [part for _, part in _parts(turn)]
        assert turn.gap is not None
        assert sum(parts) == pytest.approx(turn.gap, abs=1e-6)
        played = turn.began + turn.gap
        voiced = np.nonzero(left[: round(played * 100)] > 60)[0][-1] + 1
        sounding = np.nonzero(right[round(played * 100) - 1 :] > 30)[0][0] + round(played * 100) - 1
        assert sounding / 100 == pytest.approx(played, abs=0.04)
        differences.append((sounding - voiced) / 100 - turn.gap)
    assert min(differences) > -0.02
    assert max(differences) < 0.1
    assert np.mean(differences) < 0.07


def _parts(turn: Waterfall) -> list[tuple[str, float]]:
    return [(name, value) for name, value in turn.parts if value is not None]


def _level(samples: NDArray[np.float64]) -> float:
    return float(np.sqrt((samples**2).mean()))


def _levels(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    whole = samples[: len(samples) // WINDOW * WINDOW].reshape(-1, WINDOW)
    levels: NDArray[np.float64] = np.sqrt((whole**2).mean(axis=1))
    return levels


def test_the_same_call_makes_the_same_files_wherever_it_is_played(calls: tuple[Played, list[Path]]) -> None:
    call, elsewhere = calls
    for folder, name in itertools.product(elsewhere, ("call.jsonl", "call.wav", "call.svg")):
        assert (folder / name).read_bytes() == (call.folder / name).read_bytes(), f"{name} in {folder}"


def test_the_log_holds_nothing_of_this_machine(call: Played) -> None:
    text = (call.folder / "call.jsonl").read_text("utf-8")
    for alien in (str(ROOT), str(call.folder), str(Path.home()), os.uname().nodename, "created_at", "0x"):
        assert alien not in text
    assert not re.search(r"\b20[0-9]{2}-[0-9]{2}-[0-9]{2}", text), "no date"
    assert not re.search(r"\b1[0-9]{9}\b", text), "no Unix time"
    assert not re.search(r'"(pid|path|cpu|host|elapsed)[a-z_]*"', text)


def test_the_table_is_of_policy_time_and_machine_time_stands_apart(call: Played) -> None:
    table, _, engines = call.out.partition("\nmachine time")
    assert "policy time" in table
    for engine in ("local/silero", "local/pocketsphinx", "local/espeak"):
        assert re.search(rf"{engine} \d+\.\d\d s", engines)


# What the pages show of it


def test_the_picture_in_the_readme_is_of_this_call(call: Played) -> None:
    drawn, shown = call.folder / "call.svg", ROOT / "docs" / "call.svg"
    assert drawn.read_bytes() == shown.read_bytes(), "the call goes another way now: make docs/call.svg"


def test_the_screen_that_is_shown_is_of_this_call(call: Played) -> None:
    (shown,) = _blocks("first-call.md", "text")
    assert shown.count("\n") > 3
    assert shown in call.out


def test_the_lines_of_the_log_that_are_shown_and_explained_are_of_this_call(call: Played) -> None:
    page = (ROOT / "docs" / "console.md").read_text("utf-8")
    (shown,) = _blocks("console.md", "json")
    written = (call.folder / "call.jsonl").read_text("utf-8").splitlines()
    kinds = [json.loads(line)["type"] for line in shown.splitlines()]
    assert {"interruption_suspected", "interruption_confirmed", "playback_finished", "turn_committed"} <= set(kinds)
    assert [line for line in shown.splitlines() if line not in written] == []

    lines = {line["type"]: line for line in map(json.loads, shown.splitlines())}
    explained = page.partition(shown)[2].partition("Read it in Python")[0]
    numbers = [
        int(number) for head in re.findall(r"^\* ([\d, ]+):", explained, re.MULTILINE) for number in head.split(",")
    ]
    assert numbers == [json.loads(line)["seq"] for line in shown.splitlines()]
    onset, paused, end = (lines[kind] for kind in ("voice_started", "playout_paused", "turn_committed"))
    for told in (
        f"{(onset['t'] - onset['onset']) * 1000:.0f} ms back",
        f"{(paused['t'] - onset['onset']) * 1000:.0f} ms after that first sample",
        f"{paused['position']:g} s into its speech",
        f"{end['t'] - end['last_voiced']:g} s after the last voiced sample",
        f"only at {lines['voice_stopped']['t']:g}",
    ):
        assert told in explained


def _blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


# Other callers


def test_another_question_gets_another_answer(tmp_path: Path) -> None:
    call = play(tmp_path, asking(spoken("nine_times_eight")))
    assert call.status == 0
    assert call.understood == ["what is nine times eight"]
    assert call.said[1:] == ["Nine times eight is seventy-two."]


def test_a_question_out_of_the_vocabulary_is_reported_as_not_understood(tmp_path: Path) -> None:
    call = play(tmp_path, asking(spoken("capital_of_france"), length=7.0))
    assert call.status == 0
    assert call.tools == []
    (answer,) = call.said[1:]
    assert re.search(r"not (understand|catch)", answer)


def test_the_time_is_that_of_now(tmp_path: Path) -> None:
    call = play(tmp_path, asking(first_question()), CLOCK, "--now", "2031-07-01T16:05:00+00:00")
    assert call.said[1:] == ["It is four oh five in the afternoon."]


def test_at_the_end_of_the_recording_the_answer_in_progress_is_finished(tmp_path: Path) -> None:
    question = caller()[round(11.0 * RATE) : round(12.3 * RATE)]  # "what can you do", whose answer is long
    call = play(tmp_path, asking(question, length=3.7))
    assert call.status == 0
    assert call.said[-1].endswith("repeat what I said.")
    assert call.log[-1]["t"] > 10
    assert not call.of("interruption_confirmed")


def test_a_call_of_silence_and_one_of_a_single_sample_end(tmp_path: Path) -> None:
    for number, length in enumerate((1, RATE)):
        call = play(tmp_path / str(number), np.zeros(length, np.int16))
        assert (call.status, call.understood, call.said) == (0, [], ["Hello, what can I do for you?"])


@pytest.mark.real_time
def test_by_the_wall_clock_it_takes_as_long_as_it_lasts(tmp_path: Path) -> None:
    watch = Stopwatch()
    with watch:
        call = play(tmp_path, asking(first_question(), at=0.5, length=1.8), CLOCK, "--realtime")
    assert call.status == 0
    assert "heard gap" in call.out
    assert call.understood == ["what time is it"]
    assert re.fullmatch(r"It is .* in the (morning|afternoon|evening)\.|It is .*\.", call.said[-1])
    assert watch.seconds >= call.log[-1]["t"] > 3


def test_it_plays_much_faster_than_it_lasts(tmp_path: Path) -> None:
    watch = Stopwatch()
    with watch:
        call = play(tmp_path, asking(first_question(), length=20.0))
    assert call.log[-1]["t"] > 20
    assert watch.seconds < 10, "virtual time waits for nothing but the engines"


def test_a_call_never_replaces_the_recording_that_it_plays(tmp_path: Path) -> None:
    recording = tmp_path / "call.wav"
    recording.write_bytes(CALLER.read_bytes())
    status, _, err = run("console", CLOCK, "--input", recording, "--out", tmp_path)
    assert status == 2
    assert str(recording) in err
    assert "--out" in err
    assert recording.read_bytes() == CALLER.read_bytes()
