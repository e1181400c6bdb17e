"""What a short utterance is: a sign of listening, an order to stop, a sound without meaning, or speech.

A backchannel ("mm hmm", "right") said while the agent speaks asks for nothing. The same word is an answer when a question
is open, and speech when it is long: somebody who holds "okay" for two seconds says more than the recogniser heard.
"""

from typing import Literal

from agent_runtime.turns.lexicon import Lexicon, Phrases, Words, lexicon, tokens, undetermined

Kind = Literal["backchannel", "undecided", "command", "speech", "filler"]

BACKCHANNEL_S = 1.2
"""The longest backchannel. They last 0.2 to 0.8 s as a rule; two in a row are still one sign of listening."""

MOST_IN_A_ROW = 3
"""More of them in a row are not listening but an attempt to get a word in."""


def kind_of(
    text: str,
    language: str | None,
    *,
    duration_s: float | None,
    agent_speaking: bool,
    after_question: bool = False,
) -> Kind:
    """What these words do, final or not.

    * `backchannel`: neither interrupts nor is answered.
    * `filler`: "um", a cough that was written down, nothing at all; as a backchannel, at any time.
    * `command`: "no", "stop", "wait", with whatever follows: interrupts at once. Only while the agent speaks.
    * `speech`: everything else.
    * `undecided`: the beginning of a backchannel ("got", "ye"), or of something else: more has to be heard.

    Args:
        language: None, or one without a word list: only sounds that are alike in many languages are known.
        duration_s: of the voice in which these words were said; None if unknown.
        agent_speaking: whether the agent's speech was audible when they began.
        after_question: whether the agent has just asked something, so that "yeah" is an answer.
    """
    listed = lexicon(language) or undetermined()
    words = _without_sounds(tokens(text), listed)
    if not words:
        return "filler"
    if agent_speaking and _is_command(words, listed):
        return "command"
    if after_question:
        return "speech"
    signs = (listed.murmurs, listed.backchannels) if agent_speaking else (listed.murmurs,)
    return _listens(words, listed, duration_s, *signs)


def is_aside(text: str, language: str | None) -> bool:
    """Whether this was said to somebody else in the room ("honey, can you get the door", "I'm on the phone").

    A guess from a list of phrases: calls by name or by endearment, what people shout to the next room, talk to dogs and
    children. What is said to somebody else in the words one would use to an agent is not found out.
    """
    listed = lexicon(language)
    if listed is None:
        return False
    words = listed.padding.without_end(listed.padding.without_start(tokens(text)))
    return bool(words) and (
        words in listed.whole_asides or listed.asides.within(words) or _calls_somebody(words, listed)
    )


def _without_sounds(words: Words, listed: Lexicon) -> Words:
    """`words` from the first one on that is more than a sound."""
    while words and not listed.murmurs.at_start(words):
        n = listed.tics.at_start(words) or listed.sounds.at_start(words)
        if not n:
            break
        words = words[n:]
    return words


def _is_command(words: Words, listed: Lexicon) -> bool:
    """Whether a command is the first thing said, or the first after "okay"."""
    for said in (words, listed.backchannels.without_start(words)):
        if listed.commands.at_start(said):
            return not listed.no_commands.at_start(said)
    return False


def _listens(words: Words, listed: Lexicon, duration_s: float | None, *kinds: Phrases) -> Kind:
    """A backchannel where all of it is signs of listening of these kinds, and no more of them than usual."""
    signs = 0
    while words:
        n = 0
        for kind in kinds:
            n = max(n, kind.at_start(words))
        if not n:
            begun = (
                not signs and words not in listed.questions and any(_is_begun(words, kind, listed) for kind in kinds)
            )
            return "undecided" if begun else "speech"
        words = _without_sounds(words[n:], listed)
        signs += 1
    longest_s = max(BACKCHANNEL_S, signs * BACKCHANNEL_S / 2)
    usual = signs <= MOST_IN_A_ROW and (duration_s is None or duration_s <= longest_s)
    return "backchannel" if usual else "speech"


def _is_begun(words: Words, kind: Phrases, listed: Lexicon) -> bool:
    if kind.begun_by(words):
        return True
    return len(words) == 1 and tuple(words) not in listed.stop_words and kind.begun_by_piece(words[0])


def _calls_somebody(words: Words, listed: Lexicon) -> bool:
    """ "Honey, can you ...", "in a minute, mom"; not "honey mustard", "for my mom"."""
    if n := listed.vocatives.at_start(words):
        return len(words) == n or listed.calls.at_start(words[n:]) > 0
    n = listed.vocatives.at_end(words)
    return n > 0 and (words[len(words) - n - 1],) not in listed.no_vocative_after
