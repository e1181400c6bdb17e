"""An agent that tells the time and keeps a shopping list: `python agents/clock.py console`, and talk to it.

Every engine named below runs on this machine, without a key.
"""

from agent_runtime import Agent, AgentServer, AgentSession, JobContext, RunContext, cli, function_tool

# Words that callers are likely to say help the recogniser.
GROCERIES = "milk bread eggs coffee butter apples sugar rice cheese tea oranges tomatoes".split()


class Clock(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You are Clara. You tell the time and keep a shopping list. Be brief.")
        self.items: list[str] = []

    async def on_enter(self) -> None:
        """Called when this agent has the call. The caller may interrupt what is said here, like any speech."""
        self.session.say("Hello, what can I do for you?")

    # Types and docstring are what a model knows of a tool. What the tool returns is told to the model, which makes a
    # sentence of it; the built-in rules say it as it stands.
    @function_tool
    async def add_item(self, context: RunContext, item: str) -> str:
        """Add an item to the shopping list.

        Args:
            item: What to buy
        """
        self.items.append(item)
        return f"I added {item}."

    # The context, with the session and the call in it, is there for a tool that asks for it.
    @function_tool
    async def remove_item(self, item: str) -> str:
        """Remove an item from the shopping list.

        Args:
            item: What is not needed any more
        """
        if item not in self.items:
            return f"I did not find {item} on the list."
        self.items.remove(item)
        return f"I removed {item}."

    @function_tool
    async def read_list(self) -> str:
        """Read the shopping list, for example "what is on my shopping list"."""
        return f"On the list: {', '.join(self.items)}." if self.items else "The list is empty."

    @function_tool
    async def end_call(self, context: RunContext) -> None:
        """End the call, after saying good-bye."""
        await context.wait_for_playout()  # the good-bye that the model said before it called this
        context.session.shutdown()


server = AgentServer()


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    session = AgentSession(
        vad="local/silero",
        stt="local/pocketsphinx",
        llm="local/rules",
        tts="local/espeak",
        stt_context_options={"keyterms": GROCERIES},
    )
    await session.start(agent=Clock(), room=ctx.room)


if __name__ == "__main__":
    cli.run_app(server)
