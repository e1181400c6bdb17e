"""Reading what ``/audio/transcriptions`` answers: one document, or events with the words as they are read. Pure.

Whisper was trained on subtitles, and reads what stands under silence in films: "Thank you.", "Thanks for watching". Where
an answer has segments, each tells how likely it is that it holds no speech, and that is believed (`_is_speech`).
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent_runtime.providers.http.exchange import Answer
from agent_runtime.providers.http.service import Service
from agent_runtime.providers.openai.audio import parsed
from agent_runtime.providers.voiced import Reading

NO_SPEECH = 0.6
"""Above this a segment probably holds no speech (the bound of Whisper's authors)."""

UNSURE = -1.0
"""Below this mean log probability Whisper's authors hold the words for guessed."""

SUBTITLES = frozenset(
    {
        "bye",
        "goodbye",
        "please subscribe",
        "so",
        "subscribe",
        "subtitles by the amara org community",
        "thank you",
        "thank you for watching",
        "thank you so much",
        "thank you very much",
        "thanks",
        "thanks for watching",
        "you",
        "amara org",
        "gracias",
        "merci",
        "sous titrage st 501",
        "sous titres réalisés para la communauté d amara org",
        "untertitel der amara org community",
        "untertitel im auftrag des zdf für funk 2017",
        "untertitelung des zdf 2020",
        "vielen dank",
        "ご視聴ありがとうございました",
    }
)
"""What Whisper reads in silence."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was read of an utterance. `language` as the service calls it; None where it does not say."""

    reading: Reading
    language: str | None = None


class TranscriptAnswer(Answer[Transcript]):
    """Reads one answer. It gives one piece, the whole: so it may be asked for again until that is there.

    Args:
        service: whose it is.
        so_far: told of the words that were read up to now.
    """

    def __init__(self, service: Service, so_far: Callable[[str], None]) -> None:
        self._service = service
        self._so_far = so_far
        self._text = ""

    def feed(self, payload: bytes) -> Sequence[Transcript]:
        if payload.strip() == b"[DONE]":
            return self._done({"text": self._text}) if self._text and not self.whole else ()
        try:
            said = parsed(payload)
        except ValueError as error:
            raise self._service.broken(f"a message is no JSON ({error})") from error
        if not isinstance(said, dict):
            raise self._service.broken("a message is no object")
        kind = str(said.get("type") or "")
        if said.get("error") or kind == "error":
            raise self._service.failed_inside(said.get("error") or said)
        if kind.endswith("text.delta"):  # OpenAI's has `delta`, Mistral's `text`
            return self._more(said.get("delta") or said.get("text"))
        if "choices" in said:  # vLLM's, which look like a chat
            return self._chunk(said)
        if isinstance(said.get("text"), str) and (not kind or kind.endswith(".done")):
            return self._done(said)
        if not kind:
            raise self._service.broken("it has no text")
        return ()  # segments and languages of a stream

    def end(self) -> Sequence[Transcript]:
        if not self.whole:
            raise self._service.broken("it ends before the whole of its text")
        return ()

    def _more(self, words: Any) -> Sequence[Transcript]:
        if isinstance(words, str) and words:
            self._text += words
            self.held += 1
            self._so_far(self._text.strip())
        return ()

    def _chunk(self, said: Mapping[str, Any]) -> Sequence[Transcript]:
        for choice in said["choices"] or ():
            self._more((choice.get("delta") or {}).get("content"))
            if choice.get("finish_reason"):
                return self._done({"text": self._text})
        return ()

    def _done(self, said: Mapping[str, Any]) -> Sequence[Transcript]:
        self.whole = True
        return (transcript(said),)


def transcript(said: Mapping[str, Any]) -> Transcript:
    """A document as the API has it, plain or verbose."""
    language = said.get("language")
    languages = said.get("languages")
    if not language and isinstance(languages, list) and languages and isinstance(languages[0], dict):
        language = languages[0].get("code") or languages[0].get("language")
    segments = [each for each in said.get("segments") or () if isinstance(each, dict) and "avg_logprob" in each]
    reading = (
        _of_segments(segments) if segments else Reading(str(said["text"]).strip(), _of_tokens(said.get("logprobs")))
    )
    return Transcript(reading, language if isinstance(language, str) else None)


def _of_segments(segments: Sequence[Mapping[str, Any]]) -> Reading:
    """How sure: the mean probability of a token, less where there may have been no speech."""
    kept = [each for each in segments if str(each.get("text", "")).strip() and _is_speech(each)]
    if not kept:
        return Reading("", 0.0)
    text = "".join(str(each["text"]) for each in kept).strip()
    probability = math.exp(min(0.0, sum(float(each["avg_logprob"]) for each in kept) / len(kept)))
    return Reading(text, probability * (1 - max(map(_no_speech, kept))))


def _is_speech(segment: Mapping[str, Any]) -> bool:
    if _no_speech(segment) <= NO_SPEECH:
        return True
    words = " ".join(re.findall(r"\w+", str(segment["text"]).casefold()))
    return float(segment["avg_logprob"]) >= UNSURE and words not in SUBTITLES


def _no_speech(segment: Mapping[str, Any]) -> float:
    return min(1.0, max(0.0, float(segment.get("no_speech_prob") or 0.0)))


def _of_tokens(logprobs: Any) -> float | None:
    known = [each["logprob"] for each in logprobs or () if isinstance(each, dict) and "logprob" in each]
    return math.exp(min(0.0, sum(known) / len(known))) if known else None
