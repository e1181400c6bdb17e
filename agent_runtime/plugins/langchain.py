"""``langchain.LLMAdapter``: a LangGraph graph, or a chain of LangChain's, in the place of a model."""

from agent_runtime.providers.langchain import LLMAdapter

__all__ = ["LLMAdapter"]
