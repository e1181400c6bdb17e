"""`local/pocketsphinx`: the default recogniser, with its own English model, in a child process per microphone."""

from agent_runtime.errors import UsageError
from agent_runtime.providers.local.info import EXTRA, EngineInfo, distribution_version
from agent_runtime.providers.local.spans import SpanStream, SpanSTT
from agent_runtime.stt import STTContext

_ENGINE = "agent_runtime.providers.local.sphinx_engine:SphinxEngine"


class PocketsphinxSTT(SpanSTT):
    """English, offline, 135 000 words; at its best with the phrases that the application declares.

    Args:
        language: English, in one of its forms; there is no other.
        deadline: seconds of machine time within which the child must answer a request; its start may take longer.
    """

    label = "local/pocketsphinx"
    uses_tools = True

    def __init__(self, *, language: str = "en", deadline: float = 4.0) -> None:
        self._check(language)
        super().__init__(deadline=deadline)

    def stream(self, *, language: str | None = None, context: STTContext | None = None) -> SpanStream:
        """Start on a new microphone.

        Raises:
            UsageError: the language is not English, or pocketsphinx is not installed.
        """
        if language is not None:
            self._check(language)
        if not self.describe().installed:
            raise UsageError(f"{self.label} needs the package pocketsphinx; install it with: {EXTRA}")
        return self._open(_ENGINE, {"context": context or STTContext()})

    def _check(self, language: str) -> None:
        if language.split("-")[0].lower() != "en":
            raise UsageError(f"{self.label} knows only English, not '{language}'; use 'en' or another recogniser.")

    def describe(self) -> EngineInfo:
        """What this engine is and whether it can run here."""
        version = distribution_version("pocketsphinx")
        return EngineInfo(
            descriptor=self.label,
            licence="BSD-2-Clause, its English model and dictionary included",
            installed=version is not None,
            version=version,
            missing=None if version else EXTRA,
        )
