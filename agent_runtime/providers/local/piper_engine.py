"""Piper in the child process of `local/piper`. Nothing but that process imports this module.

Piper makes one sentence at a time, whole; a phrase that is cancelled ends after the sentence that is being made.
"""

import logging
from collections.abc import Iterator

from agent_runtime.providers.local.word_times import Piece

_PIECE_S = 0.1


class Engine:
    """What the parent talks to; see `agent_runtime.providers.local.speaking.ChildTTS`."""

    def __init__(self, model: str) -> None:
        from piper import PiperVoice

        # It warns of each phoneme that a voice lacks, on the terminal that the call is shown on.
        logging.getLogger("piper").setLevel(logging.ERROR)
        self._voice = PiperVoice.load(model)
        self._pieces: Iterator[Piece] = iter(())

    def ready(self) -> None:
        """Being here is enough."""

    def start(self, text: str) -> Piece | None:
        self._pieces = self._speak(text)
        return self.next()

    def next(self) -> Piece | None:
        return next(self._pieces, None)

    def cancel(self) -> None:
        self._pieces = iter(())

    def _speak(self, text: str) -> Iterator[Piece]:
        # Lone surrogates are no Unicode, and [[ ]] would have the letters between them read as phonemes.
        clean = text.encode("utf-8", "replace").decode().replace("[[", "[ [").replace("\0", " ")
        for sentence in self._voice.synthesize(clean):
            sound = sentence.audio_int16_bytes
            size = 2 * int(_PIECE_S * sentence.sample_rate)
            for start in range(0, len(sound), size):
                yield sound[start : start + size], []
