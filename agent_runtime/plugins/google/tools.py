"""Tools that Google runs itself; they stand among an agent's tools.

    Agent(instructions=..., tools=[google.tools.GoogleSearch()])

What they found is in the chunks' `extra`: ``grounding_metadata``, ``url_context_metadata``, ``code_execution``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from agent_runtime.tools import ProviderTool

__all__ = ["CodeExecution", "FileSearch", "GoogleMaps", "GoogleSearch", "ToolCodeExecution", "URLContext"]


class GoogleSearch(ProviderTool):
    """Search the web.

    Args:
        exclude_domains: where not to look.
        blocking_confidence: how sure Google must be that a site is bad to leave it out.
        time_range_filter: ``{"startTime": ..., "endTime": ...}``.
    """

    def __init__(
        self,
        exclude_domains: Sequence[str] | None = None,
        blocking_confidence: str | None = None,
        time_range_filter: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            "google",
            "googleSearch",
            _given(
                exclude_domains=exclude_domains and list(exclude_domains),
                blocking_confidence=blocking_confidence,
                time_range_filter=time_range_filter,
            ),
        )


class GoogleMaps(ProviderTool):
    """Look for places.

    Args:
        enable_widget: give a token for a map besides.
    """

    def __init__(self, auth_config: Mapping[str, Any] | None = None, enable_widget: bool | None = None) -> None:
        super().__init__("google", "googleMaps", _given(auth_config=auth_config, enable_widget=enable_widget))


class URLContext(ProviderTool):
    """Read the pages of which the addresses are in the conversation."""

    def __init__(self) -> None:
        super().__init__("google", "urlContext", {})


class FileSearch(ProviderTool):
    """Look into stores of files.

    Args:
        file_search_store_names: the stores.
        top_k: how many pieces are read.
        metadata_filter: which files to look into.
    """

    def __init__(
        self, file_search_store_names: Sequence[str], top_k: int | None = None, metadata_filter: str | None = None
    ) -> None:
        names = list(file_search_store_names)
        options = _given(file_search_store_names=names, top_k=top_k, metadata_filter=metadata_filter)
        super().__init__("google", "fileSearch", options)


class CodeExecution(ProviderTool):
    """Write Python and run it."""

    def __init__(self) -> None:
        super().__init__("google", "codeExecution", {})


ToolCodeExecution = CodeExecution


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
