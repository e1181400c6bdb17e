"""The battery: telephone calls for measuring turn-taking, made up from a seed.

Each call is a scenario (`agent_runtime.testing.scenario`) of four to six turns of the caller, with a label for everything
that the caller does. What happens is dealt from decks, so that the shares are the same in every battery, whatever the seed:

* 1 of 4 turns that are no interruptions has a pause of 0.6 to 2.0 s in it, every second time after a clause that could be
  complete;
* of 20 answers of the agent 3 are interrupted, over 5 the caller murmurs, over 3 coughs or says "um", over 2 talks to
  somebody else, over 1 there is a noise or a telephone, and 6 are listened to;
* of 20 silences before a turn 5 have an "um" or a cough in them, 4 an aside, 1 a noise; so about as many of these fall into
  silence as into the agent's speech.

Nothing depends on how the agent takes its turns: the caller speaks so long after the agent has begun or ended to speak, and
what is said during an answer is said well within it. Models take 0.6 s together before the first sound: 0.2 s each
for the final transcript, the first token and the first sound.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from agent_runtime.testing.battery.intervals import Label

DELAYS = {"stt": 0.2, "llm": 0.2, "tts": 0.2}
INJECTED_S = sum(DELAYS.values())
"""From the end of the caller's voice to the first sound of the answer, where nobody waits for anything else."""

_TURNS = ["pause"] + ["plain"] * 3
_ANSWERS = ["interruption"] * 3 + ["backchannel"] * 5 + ["tic"] * 3 + ["non_directed"] * 2 + ["noise"] + ["nothing"] * 6
_SILENCES = ["tic"] * 5 + ["non_directed"] * 4 + ["noise"] + ["nothing"] * 10
_BRIEF_SHARE = ["brief", "request", "request"]
_TIC_SHARE = ["cough", "words", "words"]
_NOISE_SHARE = ["noise", "phone"]

_MARK_S = 0.02
"""A silence so short that it only says where the caller begins to wait for something."""

_ENOUGH_WORDS = 20
"""An answer of so many words may end at its next comma."""


@dataclass(frozen=True, slots=True)
class _Phrases:
    """What is said: see `phrases.yaml`."""

    requests: dict[str, str]
    pauses: dict[str, list[str]]
    interruptions: dict[str, str]
    brief: dict[str, str]
    backchannels: list[str]
    tics: list[str]
    asides: list[str]
    anything_else: str


@cache
def _phrases() -> _Phrases:
    import yaml

    given = yaml.safe_load((resources.files(__package__) / "phrases.yaml").read_text(encoding="utf-8"))
    for name in ("requests", "interruptions"):
        given[name] = {each["ask"]: each["answer"] for each in given[name]}
    return _Phrases(**given)


@dataclass(frozen=True, slots=True)
class BatteryCall:
    """A scenario, and what each of the caller's sounds in it is, in order."""

    scenario: dict[str, Any]
    labels: tuple[Label, ...]

    @property
    def name(self) -> str:
        return str(self.scenario["name"])


class _Deck:
    """Deals what is in it in a random order, and starts again when it is empty."""

    def __init__(self, dice: random.Random, cards: Sequence[str]) -> None:
        self._dice = dice
        self._cards = cards
        self._left: list[str] = []

    def deal(self) -> str:
        if not self._left:
            self._left = list(self._cards)
            self._dice.shuffle(self._left)
        return self._left.pop()


class _Decks:
    """What all calls of a battery are dealt from."""

    def __init__(self, dice: random.Random) -> None:
        phrases = _phrases()
        self.turns = _Deck(dice, _TURNS)
        self.pauses = _Deck(dice, ["complete", "unfinished"])
        self.answers = _Deck(dice, _ANSWERS)
        self.silences = _Deck(dice, _SILENCES)
        self.interruptions = _Deck(dice, _BRIEF_SHARE)
        self.tics = _Deck(dice, _TIC_SHARE)
        self.noises = _Deck(dice, _NOISE_SHARE)
        self.requests = _Deck(dice, list(phrases.requests))
        self.complete = _Deck(dice, phrases.pauses["complete"])
        self.unfinished = _Deck(dice, phrases.pauses["unfinished"])
        self.murmurs = _Deck(dice, phrases.backchannels)
        self.words = _Deck(dice, phrases.tics)
        self.interrupting = _Deck(dice, list(phrases.interruptions))
        self.asides = _Deck(dice, phrases.asides)


def battery(calls: int = 200, seed: int = 1) -> list[BatteryCall]:
    """The same for the same numbers, on every machine."""
    dice = random.Random(seed)
    decks = _Decks(dice)
    return [_Writer(dice, decks, f"call {number:03d} of battery {seed}").write() for number in range(1, calls + 1)]


class _Writer:
    """Writes one call."""

    def __init__(self, dice: random.Random, decks: _Decks, name: str) -> None:
        self._dice = dice
        self._decks = decks
        self._name = name
        self._rate = dice.uniform(2.2, 3.6)  # words the caller says in a second
        self._agent_rate = round(dice.uniform(2.8, 3.4), 2)
        self._caller: list[dict[str, Any]] = []
        self._labels: list[Label] = []
        self._replies: dict[str, str] = {**_phrases().brief, "*": _phrases().anything_else}
        self._in_silence = False  # the agent is silent already: nothing is to be waited for before the next turn
        self._spent = 0.0
        """How long the call takes at the most, as things are meant."""

    def write(self) -> BatteryCall:
        turns = self._dice.randint(4, 6)
        done = 0
        while done < turns:
            self._silence(first=done == 0)
            self._turn(first=done == 0)
            done += 1
            if self._answer():
                done += 1
        self._step({"hang_up": True}, after="playback_finished", wait=1.5)
        scenario = {
            "name": self._name,
            "session": {"instructions": "You answer the telephone."},
            "models": {
                "vad": {"min_silence": 0.25},
                "stt": {"delay": DELAYS["stt"], "interim_every": 0.2},
                "llm": {"ttft": DELAYS["llm"], "tokens_per_second": 80, "replies": self._replies},
                "tts": {
                    "ttfb": DELAYS["tts"],
                    "words_per_second": self._agent_rate,
                    "real_time_factor": 0.1,
                    "word_times": True,
                },
            },
            "caller": self._caller,
            "until": round(self._spent + 20.0),
        }
        return BatteryCall(scenario, tuple(self._labels))

    # What the caller does

    def _turn(self, *, first: bool) -> None:
        if first:
            when = {"at": self._span(0.3, 0.8)}
        elif self._in_silence:  # longer than the agent must stay silent after what was no turn
            when = {"wait": self._span(2.4, 3.0)}
        else:
            self._hear_out()
            when = {"wait": self._span(0.6, 1.6)}
        if self._decks.turns.deal() == "pause":
            self._hesitation(when)
        else:
            request = self._decks.requests.deal()
            self._replies[request] = self._shortened(_phrases().requests[request])
            self._say("say", request, Label("turn", request), **when)

    def _hesitation(self, when: dict[str, Any]) -> None:
        kind: Literal["complete", "unfinished"] = (
            "complete" if self._decks.pauses.deal() == "complete" else "unfinished"
        )
        text = (self._decks.complete if kind == "complete" else self._decks.unfinished).deal()
        before, after = text.split(" ... ")
        self._replies[f"{before} {after}"] = self._shortened(self._dice.choice(list(_phrases().requests.values())))
        pause = self._span(0.6, 2.0)
        self._labels.append(Label("part", before, pause=kind))
        self._say("hesitate", text, Label("turn", after), pause=pause, **when)
        self._spent += pause

    def _answer(self) -> bool:
        """The agent answers. Returns whether the caller has interrupted it, and so taken another turn."""
        # Where the caller begins to wait: whatever the agent may have done before is not the answer.
        self._mark()
        self._spent += 12.0
        self._in_silence = False
        what = self._decks.answers.deal()
        if what == "interruption":
            self._interrupt(after="playback_started", wait=self._span(1.2, 4.2))
            return True
        if what == "nothing":
            self._mark(after="playback_started")
        else:
            self._no_turn(what, after="playback_started", wait=self._span(1.2, 3.2))
        return False

    def _hear_out(self) -> None:
        """Wait until the agent is silent, and what was said over it is over too."""
        self._mark(after="playback_finished")

    def _mark(self, **when: Any) -> None:
        self._step({"silence": True, "for": _MARK_S}, **when)

    def _interrupt(self, **when: Any) -> None:
        if self._decks.interruptions.deal() == "brief":
            text = self._dice.choice(list(_phrases().brief))
            self._say("interrupt", text, Label("interruption", text, owed=False), **when)
            # An agent that answers has done so by now, and is silent again.
            self._step({"silence": True, "for": 4.0})
            self._in_silence = True
            return
        text = self._decks.interrupting.deal()
        self._replies[text] = self._shortened(_phrases().interruptions[text])
        self._say("interrupt", text, Label("interruption", text), **when)
        self._mark()
        self._mark(after="playback_started")
        self._spent += 12.0

    def _silence(self, *, first: bool) -> None:
        what = self._decks.silences.deal()
        if first or what == "nothing":
            return
        if not self._in_silence:
            self._hear_out()
        self._no_turn(what, wait=self._span(1.0, 2.0))
        self._in_silence = True

    def _no_turn(self, what: str, **when: Any) -> None:
        match what:
            case "backchannel":
                text = self._decks.murmurs.deal()
                lasts = self._span(0.3, 0.5) * (1 if len(text) < 9 else 1.4)
                self._sound({"backchannel": text}, Label("backchannel", text), lasts, **when)
            case "tic" if self._decks.tics.deal() == "cough":
                self._sound({"cough": True}, Label("tic", "(cough)"), self._span(0.25, 0.7), **when)
            case "tic":
                text = self._decks.words.deal()
                self._sound({"murmur": text}, Label("tic", text), self._span(0.25, 0.5), **when)
            case "non_directed":
                text = self._decks.asides.deal()
                self._say("aside", text, Label("non_directed", text), **when)
            case _:
                kind = self._decks.noises.deal()
                self._sound({kind: True}, Label("noise", f"({kind})"), self._span(0.5, 2.0), **when)

    def _say(self, kind: str, text: str, label: Label, **when: Any) -> None:
        words = len([word for word in text.split() if word != "..."])
        self._sound({kind: text}, label, words / (self._rate * self._dice.uniform(0.85, 1.15)), **when)

    def _sound(self, what: dict[str, Any], label: Label, lasts: float, **when: Any) -> None:
        self._labels.append(label)
        self._step({**what, "for": round(lasts, 2)}, **when)

    def _step(self, what: dict[str, Any], **when: Any) -> None:
        self._caller.append({**when, **what})
        self._spent += float(what.get("for", 0.0)) + float(when.get("wait", 0.0))

    def _shortened(self, answer: str) -> str:
        """To a length dealt by the dice, at a comma."""
        wanted = self._dice.randint(_ENOUGH_WORDS, 36)
        clauses = answer.split(", ")
        for count in range(1, len(clauses)):
            kept = ", ".join(clauses[:count])
            if len(kept.split()) >= wanted:
                return kept + "."
        return answer

    def _span(self, least: float, most: float) -> float:
        return round(self._dice.uniform(least, most), 2)


def shares(calls: Sequence[BatteryCall]) -> dict[str, int]:
    """How often each thing is in a battery: turns, pauses after a clause of either kind, and what is no turn."""
    count: dict[str, int] = {}
    for label in _all_labels(calls):
        name = f"pause, {label.pause}" if label.pause else label.kind
        count[name] = count.get(name, 0) + 1
    return dict(sorted(count.items()))


def _all_labels(calls: Sequence[BatteryCall]) -> Iterator[Label]:
    for call in calls:
        yield from call.labels
