"""What runs in the child process of `local/pocketsphinx`: two decoders over the same sound.

One reads it with the full language model, in one pass: the second and third would take up to 0.3 s at the end of an
utterance and gain nothing on clean speech. The other, at a tenth of the cost, finds the phrase of the call's grammar
that fits best. `agent_runtime.providers.local.phonemes` says which of the two to believe.
"""

from collections.abc import Sequence
from typing import Any

from agent_runtime.providers.local import grammar, phonemes
from agent_runtime.providers.voiced import NOTHING, Reading
from agent_runtime.stt import STTContext

_WORD_PROBABILITY = 0.1
"""Of each word in the grammar: low enough that no optional word is heard in a breath, high enough to be heard."""


class SphinxEngine:
    """A pair of decoders that hear one utterance after the other.

    Raises:
        ImportError: pocketsphinx is not installed.
    """

    def __init__(self, context: STTContext) -> None:
        from pocketsphinx import Decoder

        self._model: Any = Decoder(loglevel="FATAL", fwdflat=False, bestpath=False)
        self._phrases: Any = Decoder(loglevel="FATAL", lm=None)
        made = grammar.build(context, self._knows)
        self._machine = made.machine()
        transitions = [
            (source, target, _WORD_PROBABILITY, word) if word else (source, target, 1.0)
            for source, target, word in self._machine.arcs
        ]
        self._phrases.add_fsg("call", self._phrases.create_fsg("call", 0, self._machine.states - 1, transitions))
        self._phrases.activate_search("call")
        self._skipped = made.skipped
        self._texts = ("", "")
        self._begun = NOTHING

    def skipped(self) -> tuple[str, ...]:
        """What the application declared but the grammar could not take up."""
        return self._skipped

    def hear(self, pcm: bytes, first: bool, last: bool) -> Reading:
        """Take the next piece of an utterance: see `local.spans`."""
        for decoder in (self._model, self._phrases):
            if first:
                decoder.start_utt()
            if pcm:
                decoder.process_raw(pcm, False, False)
            if last:
                decoder.end_utt()
        texts = _text(self._model), _text(self._phrases)
        if last:
            return self._judge_whole(*texts)
        if texts != self._texts:  # they seldom change from one frame to the next
            self._texts, self._begun = texts, self._judge_begun(*texts)
        return self._begun

    def _judge_whole(self, reading: str, phrase: str) -> Reading:
        # The decoder gives what it has, also where that ends in the middle of a phrase or goes on into the next.
        whole = reading if self._machine.accepts(reading) else self._machine.phrase_in(phrase)
        sure = phonemes.agreement(phrase if whole == reading else whole, reading, self._sounds)
        if sure is not None:
            return Reading(whole, sure)
        return Reading(reading, phonemes.alone(len(reading.split())))

    def _judge_begun(self, reading: str, phrase: str) -> Reading:
        sure = phonemes.begun(phrase, reading, self._sounds)
        return Reading(reading, phonemes.alone(len(reading.split())) if sure is None else sure)

    def _knows(self, word: str) -> bool:
        return self._model.lookup_word(word) is not None

    def _sounds(self, text: str) -> Sequence[str]:
        return " ".join(self._model.lookup_word(word) or "" for word in text.split()).split()


def _text(decoder: Any) -> str:
    hypothesis = decoder.hyp()
    return hypothesis.hypstr if hypothesis is not None else ""
