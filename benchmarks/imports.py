"""What it costs to import the package, beside `import numpy`, each in a fresh process with warm bytecode."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.report import Report

ROOT = Path(__file__).parent.parent
ROUNDS = 9

BARE = "pass"
NUMPY = "import numpy"
PACKAGE = "import agent_runtime"
NAMES = "from agent_runtime import Agent, AgentServer, AgentSession, JobContext, RunContext, cli, function_tool"

_MEASURE = """
import sys
seen = []
sys.addaudithook(lambda event, args: seen.append(event) if event.startswith(("socket.", "subprocess.")) else None)
{statement}
import resource
used = resource.getrusage(resource.RUSAGE_SELF)
if sys.platform == "linux":  # where ru_maxrss is the parent's, if that was larger
    peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
else:
    peak = used.ru_maxrss / 1024 ** 2
heavy = [name for name in ("numpy", "sounddevice", "pydantic", "httpx", "livekit") if name in sys.modules]
print(1e3 * (used.ru_utime + used.ru_stime), peak, len(sys.modules), ",".join(heavy + seen) or "-")
"""


def measure_imports(report: Report) -> None:
    report.title(f"Import: a fresh process, warm bytecode, median of {ROUNDS}")
    statements = {
        "bare python": BARE,
        "import numpy": NUMPY,
        "import agent_runtime": PACKAGE,
        "all of the script": NAMES,
    }
    runs: dict[str, list[tuple[float, float, int, str]]] = {name: [] for name in statements}
    with tempfile.TemporaryDirectory() as cache:
        for number in range(ROUNDS + 1):
            for name, statement in statements.items():
                measured = _fresh(statement, cache)
                if number:  # the first round wrote the bytecode
                    runs[name].append(measured)
    report.say(f"{'':<22}{'CPU ms':>8}{'peak MB':>10}{'over bare':>11}{'modules':>9}")
    cpu = {name: median(run[0] for run in each) for name, each in runs.items()}
    peak = {name: median(run[1] for run in each) for name, each in runs.items()}
    for name, each in runs.items():
        over = peak[name] - peak["bare python"]
        report.say(f"{name:<22}{cpu[name]:>8.1f}{peak[name]:>10.1f}{over:>11.1f}{each[0][2]:>9}")
    limit = max(100.0, 1.3 * cpu["import numpy"])
    for name in ("import agent_runtime", "all of the script"):
        report.bound(f"import, {name}, CPU", cpu[name], limit, "ms")
        report.bound(f"import, {name}, peak memory", peak[name], 40.0, "MB")
        unwanted = {each[3] for each in runs[name]} - {"-"}
        report.bound(f"import, {name}, heavy modules and sockets {sorted(unwanted)}", len(unwanted), 0, "of them")


def _fresh(statement: str, cache: str) -> tuple[float, float, int, str]:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPYCACHEPREFIX"] = cache
    code = _MEASURE.format(statement=statement)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    cpu, peak, modules, unwanted = done.stdout.split()
    return float(cpu), float(peak), int(modules), unwanted
