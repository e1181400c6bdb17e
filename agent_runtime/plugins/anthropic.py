"""``anthropic.LLM``: Claude at Anthropic. See `AnthropicLLM` for the options."""

from agent_runtime.providers.anthropic.llm import AnthropicLLM

__all__ = ["LLM"]

LLM = AnthropicLLM
