"""What runs in the child process of `local/pocketsphinx`: two decoders over the same sound.

One reads it with the full language model, in one pass: the second and third would take up to 0.3 s at the end of an
utterance and gain nothing on clean speech. The other, at a tenth of the cost, finds the phrase of the call's grammar
that fits best. `agent_runtime.providers.local.phonemes` says which of the two to believe.
"""

from collections.abc import Sequence
from typing import Any

from agent_runtime.providers.local import grammar, phonemes
from agent_runtime.providers.local.spans import Reading
from agent_runtime.stt import STTContext


class SphinxEngine:
    """A pair of decoders that hear one utterance after the other.

    Raises:
        ImportError: pocketsphinx is not installed.
    """

    def __init__(self, context: STTContext) -> None:
        from pocketsphinx import Decoder

        self._model: Any = Decoder(loglevel="FATAL", fwdflat=False, bestpath=False)
        # Sound scores for every second frame only: a third faster, and not one sentence of the trial read otherwise.
        self._phrases: Any = Decoder(loglevel="FATAL", lm=None, ds=2)
        made = grammar.build(context, self._knows)
        states, arcs = made.machine()
        transitions = [(source, target, 1.0, word) if word else (source, target, 1.0) for source, target, word in arcs]
        self._phrases.add_fsg("call", self._phrases.create_fsg("call", 0, states - 1, transitions))
        self._phrases.activate_search("call")
        self._skipped = made.skipped

    def skipped(self) -> tuple[str, ...]:
        """What the application declared but the grammar could not take up."""
        return self._skipped

    def hear(self, pcm: bytes, first: bool, last: bool) -> Reading:
        """Take the next piece of an utterance: see `Reading`."""
        for decoder in (self._model, self._phrases):
            if first:
                decoder.start_utt()
            if pcm:
                decoder.process_raw(pcm, False, False)
            if last:
                decoder.end_utt()
        return self._judge(_text(self._model), _text(self._phrases))

    def _judge(self, reading: str, phrase: str) -> Reading:
        # A grammar's final hypothesis is a whole phrase or nothing; one in the making is the beginning of a phrase.
        sure = phonemes.agreement(self._sounds(phrase), self._sounds(reading))
        if sure is not None:
            return Reading(phrase, sure)
        return Reading(reading, phonemes.alone(len(reading.split())))

    def _knows(self, word: str) -> bool:
        return self._model.lookup_word(word) is not None

    def _sounds(self, text: str) -> Sequence[str]:
        return " ".join(self._model.lookup_word(word) or "" for word in text.split()).split()


def _text(decoder: Any) -> str:
    hypothesis = decoder.hyp()
    return hypothesis.hypstr if hypothesis is not None else ""
