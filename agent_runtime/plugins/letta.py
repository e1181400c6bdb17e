"""Letta: agents with a memory of their own."""

from typing import Unpack

from agent_runtime.plugins._options import Options
from agent_runtime.providers.openai.llm import OpenAILLM

__all__ = ["LLM"]


class LLM(OpenAILLM):
    """An agent at Letta, which keeps the conversation itself; the key is ``LETTA_API_KEY``.

    Args:
        agent_id: the agent's, ``agent-...``; it stands where others have the model.
    """

    def __init__(self, agent_id: str, **options: Unpack[Options]) -> None:
        super().__init__(agent_id, provider="letta", **options)
