"""Providers under the names that users of livekit-agents know: `from agent_runtime.plugins import openai, google`.

Each module is a few lines over `agent_runtime.providers`; nothing heavy is imported with it.
"""
