"""``aws.LLM``: models on Amazon Bedrock. See `BedrockLLM` for the options."""

from agent_runtime.providers.bedrock.llm import BedrockLLM

__all__ = ["LLM"]

LLM = BedrockLLM
