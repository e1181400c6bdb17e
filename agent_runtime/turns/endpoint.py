"""When the user's turn may end: the delays, what they wait for, and what is done while they run.

The theory of it stands in `turns.machine`, whose table leads here.
"""

from agent_runtime.turns.endpointing import Estimates
from agent_runtime.turns.facts import Facts
from agent_runtime.turns.options import TurnHandling
from agent_runtime.turns.signals import Advice, AskDetector, Command, CommitRequested, Heard, Prepare

ADVICE_BUDGET_S = 0.25
"""How long a turn that could be committed waits for the turn detector. Smart Turn takes 45 ms on a slow core, 112 at p95."""

DEAF_AFTER_S = 5.0
"""How long a voice may hold the floor while the recogniser finds no words in it."""

LIKELY = 0.5
"""From this probability on a turn counts as complete."""

READ_WITHIN_S = 0.5
"""Between two readings of a voice that goes on: recognisers give some 3 to 10 a second."""

MURMURS = ("backchannel", "filler", "aside", "echo")


class Endpoint(Facts):
    """The part of the turn machine that decides when the user has done."""

    def __init__(self, options: TurnHandling, *, has_recogniser: bool, has_vad: bool, has_detector: bool) -> None:
        super().__init__(has_recogniser=has_recogniser, has_vad=has_vad)
        self.estimates = Estimates(options.endpointing)
        self.ignored = 0
        self._timers: dict[str, float] = {}
        self._out: list[Command] = []
        self._prepared = ""  # the words for which a reply is being made ahead
        self._preparations = 0
        self.change_options(options, has_detector=has_detector)

    def change_options(self, options: TurnHandling, *, has_detector: bool) -> None:
        """From now on by these; `has_detector`: somebody answers `AskDetector`."""
        self.options = options
        self.has_detector = has_detector

    @property
    def deadline(self) -> float | None:
        """When the next `Tick` is due."""
        return min(self._timers.values()) if self._timers else None

    @property
    def _is_no_turn(self) -> bool:
        return self._kind in MURMURS and not self._ignored_before and not self._requested

    def _commit(self, at: float, reason: str) -> None:
        """The turn is final."""
        raise NotImplementedError

    def _arm_endpoint(self, at: float) -> None:
        if self.options.turn_detection == "manual":
            return
        if self._last_voiced is None:  # no voice told of these words: the delays count from now, and not from each look
            self._last_voiced = at
        self._timers["max_delay"] = max(at, self.since(at) + self.options.endpointing.max_delay)
        self._maybe_commit(at, "silence")

    def _at_the_latest(self, event: CommitRequested) -> float:
        """Until when a turn that the application ends waits for its words."""
        manual = self.options.turn_detection == "manual"  # there the application says how long, and nobody else
        bound = event.deadline if manual else self.since(event.at) + self.options.endpointing.max_delay
        return min(event.deadline, self._timers.get("max_delay", bound))

    def _drop_murmur(self, event: Heard) -> None:
        self._words.interim = ""
        if event.kind in MURMURS:  # it is told what that voice was: no more is owed for it
            self._murmured_at, self._words.owed = event.at, False

    def _is_of_a_voice(self, at: float) -> bool:
        """Whether words that come now were said in a voice of which the detector told since the last turn.

        One that is over for `max_delay` is read to its end.
        """
        if not (self._voice_tells and self._last_turn.voice_since):
            return False
        ended = self._voice_ended
        return self.voice_on or (ended is not None and at - ended <= self.options.endpointing.max_delay)

    def since(self, at: float) -> float:
        """From when on the endpointing delays count: the last voiced sample, or `at` where there was none."""
        return self._last_voiced if self._last_voiced is not None else at

    def delay_for(self, probability: float | None) -> float:
        """How long after the last voiced sample a turn is committed that is complete with this probability."""
        if not self.has_detector:  # then silence is all there is, and it is as long as it was asked for
            return self.options.endpointing.min_delay
        return self.estimates.min_delay(probability)

    def _maybe_commit(self, at: float, reason: str) -> None:
        """Commit when the shorter delay is over and no words are owed."""
        if self.options.turn_detection == "manual" and "max_delay" not in self._timers:
            return
        self._timers.pop("min_delay", None)
        if self._words.owed or self._words.interim or not self._words.finals:
            self._await_final(at)
            return
        if not self._requested:
            self._ask_detector(at)
            earliest = self.since(at) + self.delay_for(self._advice)
            if self._advice_due is not None:
                earliest = max(earliest, self._advice_due)
            if at < earliest:
                self._await_delay(at, earliest)
                self._prepare(at)
                return
        self._commit(at, reason)

    def _await_final(self, at: float) -> None:
        """Words are owed. Where this recogniser is later than it ever was, what there is will do; else max_delay decides."""
        if self._requested or not self._words.text:
            return
        self._ask_detector(at)
        if not self._is_of_a_voice(at):  # the words themselves are the voice, and more may come at any time
            return
        due = self.since(at) + max(self.delay_for(self._advice), self.estimates.final_due())
        if at < due:
            self._await_delay(at, due)
        elif due < self._timers.get("max_delay", due):
            self._commit(at, "the final is late")

    def _listen_for_words(self, at: float) -> None:
        if self.has_recogniser and not self._noise:
            self._timers["deaf"] = at + self._patience

    @property
    def _patience(self) -> float:
        """How long a voice is on of which nothing new is read. A detector slower than `max_delay` is no evidence of one."""
        max_delay = self.options.endpointing.max_delay
        slow = self._hang_over > max_delay and self.options.turn_detection != "manual"
        return max(max_delay, READ_WITHIN_S) if slow and self._reads_along and self._words.text else DEAF_AFTER_S

    def _await_delay(self, at: float, until: float) -> None:
        if at < until < self._timers.get("max_delay", until + 1.0):
            self._timers["min_delay"] = until

    def _ask_detector(self, at: float) -> None:
        if not self.has_detector or self.options.turn_detection == "stt":
            return
        text = self._words.text
        if text != self._asked:
            self._asked, self._advice, self._advice_due = text, None, at + ADVICE_BUDGET_S
            self._out.append(AskDetector(text))

    def _advised(self, event: Advice) -> None:
        if event.text != self._asked or self._advice_due is None or event.text != self._words.text:
            self.ignored += 1
            return
        self._advice_due = None
        probability = event.probability
        if probability is not None and 0.0 <= probability <= 1.0:  # NaN is not
            self._advice = probability
        self._maybe_commit(event.at, "silence")

    def _prepare(self, at: float) -> None:
        """Where the words are whole and only time is missing, the reply may be made ahead."""
        options = self.options.preemptive_generation
        unlikely = self._advice_due is not None or (self._advice is not None and self._advice < LIKELY)
        if not options.enabled or unlikely or self._is_no_turn or self._prepared == self._words.text:
            return
        spoken = self.since(at) - self.onset if self.onset is not None else 0.0
        if self._preparations < options.max_retries and spoken <= options.max_speech_duration:
            self._preparations += 1
            self._prepared = self._words.text
            self._out.append(Prepare(self._words.text))

    def _due(self, name: str, at: float) -> bool:
        due = self._timers.get(name)
        if due is None or at < due:
            return False
        del self._timers[name]
        return True
