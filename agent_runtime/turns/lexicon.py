"""What a language says of turns: which words leave a clause open, which ask for time, which only say "I listen".

A language is a data file, `languages/<tag>.toml`. A value is a string of phrases, separated by commas or line ends; in a
phrase ``a|b`` stands for either word and ``a?`` for a word that may be missing. A key that a file leaves out means
"none": a rule without words never applies. `und` is for speech in no known language: sounds that are alike in many.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import product
from pathlib import Path

from agent_runtime.text.language import normalize_language

Words = Sequence[str]

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_DRAWN_OUT = re.compile(r"([^\W\d_])\1{2,}")
_INITIALS = re.compile(r"\b(?:[^\W\d_]\.){2,}")
_ADDRESS = re.compile(r"\S+@\S*")
_NOTE = re.compile(r"\[[^\]]*\]|\([^)]*\)|\*[^*]*\*")


@lru_cache(maxsize=4)  # a reading is judged from several sides, one after the other
def tokens(text: str) -> tuple[str, ...]:
    """The words of what a recogniser wrote, without case and punctuation.

    "uh-huh" is two words, "p.m." is "pm", "ummmm" is "umm", "a@b.com" is "a at b dot com". What a recogniser notes of a
    sound ("[cough]", "(laughs)") is not a word.
    """
    text = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    text = _ADDRESS.sub(_spell_out, _NOTE.sub(" ", text))
    text = _INITIALS.sub(lambda found: found[0].replace(".", ""), text)
    return tuple(_WORD.findall(_DRAWN_OUT.sub(lambda found: 2 * found[1], text)))


def _spell_out(address: re.Match[str]) -> str:
    return address[0].rstrip(".,;:!?").replace("@", " at ").replace(".", " dot ")


class Phrases:
    """A set of phrases that is asked where one of them stands."""

    __slots__ = ("_all", "_begun", "_lengths_by_first", "_lengths_by_last")

    def __init__(self, written: str = "") -> None:
        self._all = frozenset(_expand(written))
        # Most words begin and end no phrase, and are seen not to by one look.
        self._lengths_by_first = _lengths((phrase[0], len(phrase)) for phrase in self._all)
        self._lengths_by_last = _lengths((phrase[-1], len(phrase)) for phrase in self._all)
        self._begun = frozenset(phrase[:n] for phrase in self._all for n in range(1, len(phrase)))

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        return iter(sorted(self._all))

    def __contains__(self, words: object) -> bool:
        return words in self._all

    def at_end(self, words: Words) -> int:
        """How many words the longest phrase has that `words` ends with; 0 for none."""
        for n in self._lengths_by_last.get(words[-1], ()) if words else ():
            if n <= len(words) and tuple(words[len(words) - n :]) in self._all:
                return n
        return 0

    def at_start(self, words: Words) -> int:
        """How many words the longest phrase has that `words` begins with; 0 for none."""
        for n in self._lengths_by_first.get(words[0], ()) if words else ():
            if n <= len(words) and tuple(words[:n]) in self._all:
                return n
        return 0

    def within(self, words: Words) -> bool:
        """Whether one of them stands anywhere in `words`."""
        first = self._lengths_by_first
        if first.keys().isdisjoint(words):
            return False
        return any(word in first and self.at_start(words[start:]) for start, word in enumerate(words))

    def begun_by(self, words: Words) -> bool:
        """Whether `words` are the first words of a longer phrase."""
        return tuple(words) in self._begun

    def begun_by_piece(self, piece: str) -> bool:
        """Whether a first word begins with these letters: a recogniser shows words before they are whole."""
        return any(phrase[0].startswith(piece) for phrase in self._all)

    def without_start(self, words: Words) -> Words:
        """`words` without every phrase of these that stands before the rest."""
        while n := self.at_start(words):
            words = words[n:]
        return words

    def without_end(self, words: Words) -> Words:
        """`words` without every phrase of these that stands behind the rest."""
        while n := self.at_end(words):
            words = words[: len(words) - n]
        return words


def _lengths(found: Iterable[tuple[str, int]]) -> dict[str, tuple[int, ...]]:
    """By word the lengths that were found with it, the longest first."""
    lengths: dict[str, set[int]] = {}
    for word, length in found:
        lengths.setdefault(word, set()).add(length)
    return {word: tuple(sorted(each, reverse=True)) for word, each in lengths.items()}


def _expand(written: str) -> Iterator[tuple[str, ...]]:
    for phrase in re.split(r"[,\n]", written):
        places = [
            [*word.rstrip("?").split("|"), *([""] if word.endswith("?") else [])]
            for word in unicodedata.normalize("NFKC", phrase).casefold().split()
        ]
        for choice in product(*places):
            if words := tuple(word for word in choice if word):
                yield words


_NONE = Phrases()


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The phrases of one language, by what they do."""

    # What stands before and around what is meant.
    padding: Phrases = _NONE  # before it: "okay", "well", "can you"
    sounds: Phrases = _NONE  # hesitation: "um"
    fillers: Phrases = _NONE  # hesitation in words: "you know"
    tics: Phrases = _NONE  # sounds with no meaning: "ahem", "ugh"
    stop_words: Phrases = _NONE  # the words of any sentence

    # Whole turns.
    yes_no: Phrases = _NONE
    whole: Phrases = _NONE  # complete as they are: "hello", "never mind"
    murmurs: Phrases = _NONE  # "mm hmm": a backchannel at any time
    backchannels: Phrases = _NONE  # "right", "I see": backchannels while the other speaks
    commands: Phrases = _NONE  # "stop", "wait": take the floor at once
    no_commands: Phrases = _NONE  # begin as one and are none: "no problem"

    # Asking for time.
    wait: Phrases = _NONE  # "hold on a second"
    wait_reasons: Phrases = _NONE  # what may follow: "while", "I'm looking"
    wait_not_after: Phrases = _NONE  # "in" one minute
    wait_begins: Phrases = _NONE  # asks for time whatever follows: "let me check", "bear with me"
    farewells: Phrases = _NONE  # but for this: "let me think about it and call you back"

    # The end of a clause.
    open: Phrases = _NONE  # cannot stand last: "to", "my name is"
    half_open: Phrases = _NONE  # seldom stands last: "not", "maybe"
    closing: Phrases = _NONE  # stands last although its last word is open: "I think so", "log in"
    short_answers: Phrases = _NONE  # whole after a question, or a yes: "I do"
    ellipses: Phrases = _NONE  # whole after a question with the same words: "to"
    tags: Phrases = _NONE  # ask for assent: "isn't it"
    splits: Phrases = _NONE  # verbs of "turn it on"
    particles: Phrases = _NONE  # which "turn it on" ends with

    # Clauses.
    questions: Phrases = _NONE  # "what", "how much"
    auxiliaries: Phrases = _NONE  # "is", "do": before a subject they ask
    be: Phrases = _NONE  # of these, the ones that make a sentence of a question word: "what is it"
    subjects: Phrases = _NONE  # pronouns that begin a clause
    only_subjects: Phrases = _NONE  # those that are never its end: "I", "they"
    links: Phrases = _NONE  # join a clause to come: "because", "if"
    subordinators: Phrases = _NONE  # begin a clause that needs another: "if", "since"
    wonders: Phrases = _NONE  # govern a question inside a sentence: "know" where it is
    relatives: Phrases = _NONE  # "all" I need, "what" I want
    heads: Phrases = _NONE  # the same, of clauses that end in a preposition: "the one" I was talking about
    relativisers: Phrases = _NONE  # "the card that"
    clauses: Phrases = _NONE  # a subject and its verb in one word: "it's"
    whole_questions: Phrases = _NONE  # leave nothing open at the end: "when"
    stranded: Phrases = _NONE  # may end a question that begins with a question word: "where are you from"
    complements: Phrases = _NONE  # of those, what does not end one about a thing: "what is the name of"
    requests: Phrases = _NONE  # verbs that begin a request: "cancel"
    announced: Phrases = _NONE  # name what is said next: "phone number"
    polite: Phrases = _NONE  # end a request: "please"
    openings: Phrases = _NONE  # begin a sentence that says what comes next will be about: "I have a question"
    attributes: Phrases = _NONE  # want a noun behind them: "different"
    articles: Phrases = _NONE  # and what else stands before attributes
    determiners: Phrases = _NONE  # begin a subject, and are none
    prompts: Phrases = _NONE  # the agent asks with them, without a question mark: "please", "tell me"
    either_or: Phrases = _NONE

    # Dictation.
    digits: Mapping[str, str] = field(default_factory=dict)  # words of one digit
    pairs: Phrases = _NONE  # words of two digits: "twelve", "twenty"
    times: Phrases = _NONE  # "double", "triple": the next one again
    digit_word: Phrases = _NONE  # "digit": a "six digit code"
    dictated: Mapping[str, Phrases] = field(default_factory=dict)  # how many digits have what: {"10": "phone number"}
    places: Phrases = _NONE  # an address is said behind it, its number first: "address is"
    streets: Phrases = _NONE  # ends the name of a street
    spelling: Phrases = _NONE  # says that letters follow
    letters: Phrases = _NONE  # letters said in more than one way: "double u"
    as_in: Phrases = _NONE  # "as in", "for": B for Bravo
    e_mail: Phrases = _NONE  # the agent, or the caller, speaks of an address
    e_mail_is: Phrases = _NONE  # the caller begins to say it
    at: Phrases = _NONE
    dot: Phrases = _NONE
    hosts: Phrases = _NONE  # "gmail"
    top_domains: Phrases = _NONE  # "com"
    middle_domains: Phrases = _NONE  # may be the end or not: "co"

    # Somebody else in the room.
    asides: Phrases = _NONE  # anywhere: "I'm on the phone"
    whole_asides: Phrases = _NONE  # nothing else said: "not you"
    vocatives: Phrases = _NONE  # "honey", "mom"
    calls: Phrases = _NONE  # may follow a vocative: honey, "can you"
    no_vocative_after: Phrases = _NONE  # the one before makes it a noun: with "honey"


@lru_cache(maxsize=64)
def lexicon(language: str | None) -> Lexicon | None:
    """The words of a language, however its code is written; None where there is no file for it (or no one language).

    The first time, its file is read (about 10 ms); after that it is a look-up.
    """
    tag = normalize_language(language)
    return None if tag is None else _load(tag)


def undetermined() -> Lexicon:
    """What is alike in many languages."""
    found = _load("und")
    assert found is not None
    return found


@cache
def _load(tag: str) -> Lexicon | None:
    import tomllib

    file = Path(__file__).with_name("languages") / f"{tag}.toml"
    if not file.is_file():
        return None
    given = tomllib.loads(file.read_text("utf-8"))
    digits = {word: digit for digit, words in given.pop("digits", {}).items() for (word,) in Phrases(words)}
    dictated = {length: Phrases(names) for length, names in given.pop("dictated", {}).items()}
    return Lexicon(**{key: Phrases(value) for key, value in given.items()}, digits=digits, dictated=dictated)
