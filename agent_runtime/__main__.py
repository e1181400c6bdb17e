"""`python -m agent_runtime` is the command `agent-runtime`."""

import sys

from agent_runtime.cli import main

if __name__ == "__main__":
    sys.exit(main())
