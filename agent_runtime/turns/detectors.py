"""Whether a turn is at its end, told from its words: what a turn detector is, and the one that is built in.

A detector is advice. The machine keeps its own bounds whatever a detector answers, and when it answers nothing.
"""

import re
from collections.abc import Awaitable
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, runtime_checkable

from agent_runtime.turns import dictation
from agent_runtime.turns.lexicon import Lexicon, Words, lexicon, tokens

SOUND_BEFORE_S = 0.7
"""A voice is noticed up to 0.2 s late, and what comes before it is a part of how it sounds."""

SOUND_AFTER_S = 0.2
"""As much silence as Smart Turn is trained to hear. With half a second it takes nearly every turn for complete, so what it
is given does not depend on when the words came."""


@dataclass(frozen=True, slots=True)
class TurnSoFar:
    """What a detector is asked about."""

    text: str
    """All that was understood of this turn, its last words not final perhaps."""
    language: str | None
    """As the recogniser, or the session, names it."""
    last_voiced: float
    """Loop time of the caller's last voiced sample, in s."""
    agent_said: str = ""
    """What the agent said last: after a question "large" is a whole answer."""
    audio: bytes | None = None
    """The sound of this turn, int16 mono at 16 kHz: from `SOUND_BEFORE_S` before its voice was noticed to
    `SOUND_AFTER_S` after `last_voiced`, its last `hears_s` at most. None where the detector has no `hears_s`, or there is
    no microphone."""


@runtime_checkable
class TurnDetector(Protocol):
    """Anything with these two may be given as `turn_detection`.

    A detector that goes by sound also has ``hears_s``, how many seconds of it, and is given `TurnSoFar.audio`. One with
    ``async def prewarm()`` gets ready in it before the call; what it raises there keeps the session from starting.
    """

    @property
    def label(self) -> str:
        """What stands in the log."""
        ...

    def predict(self, turn: TurnSoFar) -> float | Awaitable[float | None] | None:
        """The probability, 0 to 1, that the turn is complete; None is no opinion.

        What takes longer than a millisecond belongs in a coroutine that gets off the loop (`clock.offload`). An answer
        that comes when the delays are over is not used.
        """
        ...


class TextDetector:
    """`"local/text"`: rules over word lists; about 0.1 ms a turn, no model.

    Case and punctuation are not read: some recognisers write none, others end everything with a full stop. The answers
    are grades rather than measured frequencies. There are word lists for en (the fullest), de, es, fr, it, nl, pl and
    pt. With any other language it has no opinion.

    Args:
        language: of a turn that does not say its own. Its words are read now, not in the first turn.
    """

    label = "local/text"

    def __init__(self, language: str | None = None) -> None:
        self._language = language
        lexicon(language)
        self._told: set[str | None] = set()

    def predict(self, turn: TurnSoFar) -> float | None:
        """How likely the turn is complete; None for an unknown language and for a turn without words."""
        words, listed = self._read(turn)
        if listed is None or not words:
            return None
        if _asks_for_time(words, listed):
            return ASKS_FOR_TIME
        return _Reading(words, turn.agent_said, listed).likelihood()

    def wants_time(self, turn: TurnSoFar) -> bool:
        """Whether the caller asks the agent to wait ("hold on a second", "let me check"): then nothing is to be answered."""
        words, listed = self._read(turn)
        return listed is not None and _asks_for_time(words, listed)

    def complaint(self, language: str | None) -> str | None:
        """What to warn of when turns are in this language; None where there is nothing, or it has been said before."""
        if lexicon(language or self._language) is not None or language in self._told:
            return None
        self._told.add(language)
        return (
            f"The turn detector local/text has no word list for the language {language or 'that is not told'!r}; "
            f"turns end by silence alone."
        )

    def _read(self, turn: TurnSoFar) -> tuple[Words, Lexicon | None]:
        return tokens(turn.text), lexicon(turn.language or self._language)


# Grades. What is at or above a half is more likely complete than not.

ASKS_FOR_TIME = 0.02
OPEN = 0.05
"""The last word cannot end a sentence."""
FILLER = 0.08
HALF = 0.25
"""It seldom ends one; or a clause is missing."""
OPENS = 0.42
"""It is a whole sentence, and people who say it mostly go on."""
NEITHER = 0.6
FRAGMENT = 0.7
ENDS_ODDLY = 0.8
"""Complete, though its last word is one that is mostly followed by others."""
CLAUSE = 0.88
ANSWER = 0.9
QUESTION = 0.94
WHOLE = 0.96


_OPENING_WORDS = 8
"""With more the matter itself has been said."""

_SENTENCE_END = re.compile(r"[.!?。？！]+")


class _Reading:
    """One turn, asked rule by rule; the first that knows answers."""

    def __init__(self, words: Words, agent_said: str, listed: Lexicon) -> None:
        sentences = [sentence for part in _SENTENCE_END.split(agent_said) if (sentence := tokens(part))]
        last = sentences[-1] if sentences else ()
        self._agent_said = agent_said
        self.all = words
        self.words = listed.padding.without_start(words)
        self._first = len(words) - len(self.words)
        self.asked = tokens(agent_said)
        self.listed = listed
        self.answers = "?" in agent_said[-3:] or listed.prompts.at_start(last) > 0
        self.answers_what = listed.questions.at_start(last) > 0

    def likelihood(self) -> float:
        rules = (
            self._is_whole,
            self._is_dictated,
            self._ends_in_filler,
            self._ends_politely,
            self._is_short_answer,
            self._is_closed,
            self._echoes_question,
            self._is_tag,
            self._is_stranded,
            self._is_relative,
            self._ends_relative_clause,
            self._is_open,
            self._lacks_relative_clause,
            self._lacks_verb,
            self._lacks_noun,
            self._lacks_main_clause,
            self._is_announcement,
            self._opens_a_matter,
        )
        for rule in rules:
            grade = rule()
            if grade is not None:
                return grade
        return self._complete()

    # Whole turns

    def _is_whole(self) -> float | None:
        """Greetings, thanks, yes and no, in any number: "yeah okay thank you"."""
        words = self.all
        if words in self.listed.whole or words in self.listed.commands:
            return WHOLE
        while words:
            n = self.listed.whole.at_start(words) or self.listed.yes_no.at_start(words)
            if not n:
                return None
            words = words[n:]
        return WHOLE

    def _is_short_answer(self) -> float | None:
        """ "(yes) we are", "no I don't": a pronoun and its verb, after a question or a yes or no."""
        n = self.listed.yes_no.at_start(self.all)
        answers = n or (self.answers and not self.answers_what)
        return ANSWER if answers and (self.all[n:] if n else self.words) in self.listed.short_answers else None

    # What stands last

    def _is_dictated(self) -> float | None:
        return dictation.likelihood_whole(self.all, self.asked, self.listed)

    def _ends_in_filler(self) -> float | None:
        listed = self.listed
        if listed.sounds.at_end(self.all):
            return FILLER
        if not listed.fillers.at_end(self.all) or listed.closing.at_end(self.all):
            return None
        return None if self._strands_its_end() else FILLER

    def _ends_politely(self) -> float | None:
        """ "Two rolls please", not "could you please"."""
        n = self.listed.polite.at_end(self.all)
        rest = self.all[: len(self.all) - n]
        if not n or not rest:
            return None
        return ANSWER if _Reading(rest, self._agent_said, self.listed).likelihood() >= NEITHER else None

    def _is_closed(self) -> float | None:
        """ "I'm in", and not as an answer to "where are you"."""
        n, left_open = self.listed.closing.at_end(self.all), self.listed.open.at_end(self.all)
        alone = n == len(self.words)
        depends = alone and self.listed.subordinators.at_start(self.words) and not self.answers
        answers_where = alone and left_open and self.answers_what
        closed = n and n >= left_open and not depends and not answers_where
        return ENDS_ODDLY if closed or self._is_split() else None

    def _echoes_question(self) -> float | None:
        """ "I'd like to", where the agent has asked "would you like to ..."."""
        if not self.answers or self.answers_what or not self.listed.ellipses.at_end(self.all) or len(self.all) < 2:
            return None
        return NEITHER if (self.all[-2], self.all[-1]) in pairwise(self.asked) else None

    def _is_split(self) -> bool:
        """ "Turn the lights on": a verb, something, and its particle."""
        if not self.listed.particles.at_end(self.all):
            return False
        before = self.all[-6:-2]
        return any((word,) in self.listed.splits for word in before) and (self.all[-2],) not in self.listed.particles

    def _is_tag(self) -> float | None:
        """ "You open at nine, don't you"."""
        n = self.listed.tags.at_end(self.all)
        rest = self.all[: len(self.all) - n]
        if not n or len(rest) < 2 or self.listed.open.at_end(rest) or self.listed.closing.at_end(self.all):
            return None
        return None if rest[-1:] in self.listed.auxiliaries or self.listed.fillers.at_end(rest) else ANSWER

    def _is_stranded(self) -> float | None:
        """ "Where are you from", "what would you like", "do you know where it is"."""
        if self._strands_its_end() or self._wonders():
            return ANSWER
        return None

    def _strands_its_end(self) -> bool:
        listed, words = self.listed, self.all
        n, left_open = listed.stranded.at_end(words), listed.open.at_end(words)
        start = self._question_at(with_word=True)
        if not n or start is None:
            return False
        asked = words[start:]
        if n < left_open < len(asked) and words[len(words) - left_open :][:1] in listed.auxiliaries:
            left_open = n  # "do you have" is open, "what do you have" is not
        if n < left_open:
            return False
        if len(asked) + ("'" in asked[0]) < 4:  # "what's it for" is "what is it for"
            return False
        stated = asked[1:2] in listed.only_subjects or asked[1:2] in listed.clauses  # "what I'm calling about is"
        if stated or listed.whole_questions.at_start(asked):
            return False
        return not self._wants_complement(asked)

    def _wants_complement(self, asked: Words) -> bool:
        """ "What is the name of": of whom? But "who is it for", "what's this charge for"."""
        n = self.listed.questions.at_start(asked)
        rest = asked[n:] if "'" in asked[n - 1] else asked[n + 1 :]
        be = "'" in asked[n - 1] or asked[n : n + 1] in self.listed.be
        return be and rest[:1] in self.listed.determiners and asked[-1:] in self.listed.complements

    def _wonders(self) -> bool:
        listed, words = self.listed, self.all
        return (words[-1],) in listed.auxiliaries and any(
            (words[place],) in listed.questions and (words[place - 1],) in listed.wonders
            for place in range(1, len(words) - 2)
        )

    def _is_relative(self) -> float | None:
        """ "That's all I need", "the one I want"."""
        if len(self.all) < 4 or (self.all[-2],) not in self.listed.subjects or self.listed.open.at_end(self.all) > 2:
            return None
        return ENDS_ODDLY if (self.all[-3],) in self.listed.relatives else None

    def _ends_relative_clause(self) -> float | None:
        """ "That's what it's for", "the one I was talking about"; not "what I'm looking for" alone."""
        listed, words = self.listed, self.all
        n = listed.stranded.at_end(words)
        if not n or n < listed.open.at_end(words) or words[-2:-1] in listed.articles:
            return None
        return ENDS_ODDLY if any(map(self._is_relative_head, range(self._first + 1, len(words) - 2))) else None

    def _is_relative_head(self, place: int) -> bool:
        """Whether a clause without its end begins there: "what it's", "the one I was"."""
        listed, words = self.listed, self.all
        head, after = words[place : place + 1], words[place + 1 : place + 2]
        pronoun = after in listed.subjects and after not in listed.determiners and place < len(words) - 3
        if head not in listed.heads or not (pronoun or after in listed.clauses):
            return False
        told = any((word,) in listed.auxiliaries or (word,) in listed.clauses for word in words[:place])
        return head in listed.questions or told

    def _is_open(self) -> float | None:
        if self.listed.open.at_end(self.all):
            return OPEN
        return (
            HALF if len(self.words) and self.listed.half_open.at_end(self.all) and not self._one_word_answer() else None
        )

    def _lacks_relative_clause(self) -> float | None:
        """ "The card that": which one?"""
        listed, words = self.listed, self.all
        ends = words[-1:] in listed.relativisers and words[-3:-2] in listed.determiners
        return HALF if ends and words[-2:-1] not in listed.subjects else None

    def _one_word_answer(self) -> bool:
        return self.answers and len(self.words) == 1

    # What is missing

    def _lacks_verb(self) -> float | None:
        """ "Because it", "can you"."""
        if self.all[-1:] not in self.listed.subjects or self._one_word_answer():
            return None
        if len(self.words) == 1:
            return OPEN
        before = self.all[:-1]
        if self.listed.links.at_end(before) or self.listed.questions.at_end(before) > 1:
            return OPEN
        return OPEN if before[-1:] in self.listed.auxiliaries and not self._asks_of_subject() else None

    def _asks_of_subject(self) -> bool:
        """ "What time is it": the question word comes before the auxiliary."""
        start = self._question_at()
        return start is not None and start < len(self.all) - 2 and self.all[-2:-1] in self.listed.be

    def _lacks_noun(self) -> float | None:
        """ "A different", "some really nice"."""
        n = self.listed.attributes.at_end(self.all)
        before = self.all[: len(self.all) - n]
        asks = before[-2:-1] in self.listed.be  # "is that possible"
        return HALF if n and self.listed.articles.at_end(before) and not asks and not self.answers else None

    def _lacks_main_clause(self) -> float | None:
        """ "If it rains tomorrow", with no second clause."""
        n = self.listed.subordinators.at_start(self.words)
        if not n or self.answers or self._question_at() is not None:
            return None
        clauses = sum((word,) in self.listed.subjects for word in self.words)
        return HALF if clauses <= 1 and len(self.words) <= 8 else None

    def _is_announcement(self) -> float | None:
        """ "My phone number", and not as an answer; "first name Anna, last name"."""
        n = self.listed.announced.at_end(self.words)
        alone = n and len(self.words) - n <= 1 and (n == len(self.words) or self.words[:1] in self.listed.articles)
        if alone and not self.answers:
            return HALF
        one_more = n and len(self.words) > 2 * n and self.listed.announced.at_start(self.words)
        return HALF if one_more else None

    def _opens_a_matter(self) -> float | None:
        """ "I have a question about my bill", unasked: a statement that says what comes next will be about."""
        opens = self.listed.openings.at_start(self.words) and len(self.words) <= _OPENING_WORDS
        return OPENS if opens and not self.answers and self._question_at() is None else None

    # What is there

    def _complete(self) -> float:
        if self._question_at() is not None:
            return QUESTION
        if self.answers:
            return ANSWER
        if self._has_clause():
            return CLAUSE
        return FRAGMENT if len(self.words) > 2 else NEITHER

    def _has_clause(self) -> bool:
        words = self.words
        if self.listed.requests.at_start(words):
            return True
        for at, (one, two) in enumerate(pairwise(words)):
            verb_follows = (one,) not in self.listed.determiners or at + 3 <= len(words) - 1
            if (one,) in self.listed.subjects and (two,) not in self.listed.subjects and verb_follows:
                return True
        return False

    def _question_at(self, *, with_word: bool = False) -> int | None:
        """Where the last question begins: with a question word, or (not `with_word`) an auxiliary before its subject."""
        asks = self._asks_with_word if with_word else self._asks
        return next((start for start in range(len(self.all) - 1, -1, -1) if asks(start)), None)

    def _asks(self, start: int) -> bool:
        if self._asks_with_word(start):
            return True
        one, two, more = self.all[start : start + 1], self.all[start + 1 : start + 2], self.all[start + 2 :]
        inverted = one in self.listed.auxiliaries and two in self.listed.subjects and more
        return bool(inverted) and (start == self._first or self.all[start - 1 : start] not in self.listed.subjects)

    def _asks_with_word(self, start: int) -> bool:
        here = self.all[start:]
        n = self.listed.questions.at_start(here)
        if not n:
            return False
        if start == self._first and not self.listed.subordinators.at_start(here):
            return True
        near = any((word,) in self.listed.auxiliaries for word in here[n : n + 3])
        return near and self.all[max(0, start - 1) : start] not in self.listed.wonders


def _asks_for_time(words: Words, listed: Lexicon) -> bool:
    if listed.farewells.within(words):
        return False
    rest = listed.padding.without_start(words)
    if not (listed.wait.at_start(rest) or listed.wait_begins.at_start(rest)):
        rest = _without_request(rest, listed)
    if listed.wait_begins.at_start(rest):
        return True
    while n := listed.wait.at_start(rest):
        rest = listed.padding.without_start(rest[n:])
        if not rest or listed.wait_reasons.at_start(rest):
            return True
    return _ends_asking_for_time(listed.padding.without_end(words), listed)


def _without_request(words: Words, listed: Lexicon) -> Words:
    """ "Can you hold on" without "can you"."""
    asks = words[:1] in listed.auxiliaries and words[1:2] in listed.subjects
    return listed.padding.without_start(words[2:]) if asks else words


def _ends_asking_for_time(words: Words, listed: Lexicon) -> bool:
    """ "My order number is, hold on"; not "in one minute"."""
    n = listed.wait.at_end(words)
    return n > 0 and words[: len(words) - n][-1:] not in listed.wait_not_after
