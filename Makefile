# Everything here needs make and a Python 3.11, 3.12 or 3.13; PYTHON=python3.13 chooses one.
SCRIPT ?= agents/clock.py
# The recorded caller that the picture in the README is drawn from.
CALLER ?= agents/clock.wav
# Where a whole run of the turn-taking battery is kept.
TURNS := benchmarks/results/turns
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help run test check bench bench-llm bench-peers bench-turns mutation golden models-page model-servers sound-bus lock clean setup setup-test

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z./-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## talk with agents/clock.py (SCRIPT=other.py, ARGS="--text")
	@$(BIN)/agent-runtime console $(SCRIPT) $(ARGS)

test: setup-test ## run every test (ARGS="tests/test_clock.py -k jump")
	@sh scripts/sound-bus.sh || echo "Tests that need it are skipped."
	@tmp=$$(mktemp -d) && $(BIN)/python -m pytest --basetemp=$$tmp/pytest $(ARGS); status=$$?; rm -rf $$tmp; exit $$status

check: setup-test ## format, lint, types, import rules
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports

bench: setup ## measure, print both sides of each ratio, fail where a bound is missed
	@$(BIN)/python -m benchmarks $(ARGS)

bench-llm: setup ## ask a model through ours, httpx, openai, livekit-agents, LiteLLM (6 minutes; ARGS="--rounds 1")
	@sh scripts/environments.sh openai livekit litellm
	@$(BIN)/python -m benchmarks.llm $(ARGS)

bench-peers: setup ## ours beside livekit-agents, pipecat and bare asyncio (45 minutes; ARGS="--rounds 1")
	@sh scripts/environments.sh livekit pipecat
	@$(BIN)/python -m benchmarks.peers $(ARGS)

bench-turns: setup ## measure how turns are taken, on generated calls (ARGS="--calls 50 --no-sweep")
	@$(BIN)/agent-runtime bench turns \
	  $(if $(ARGS),$(ARGS),--real-speech --out $(TURNS).txt --svg $(TURNS).svg)

mutation: setup-test ## break the turn machine in every way, once each; 95 % is to be noticed (ARGS="--only table")
	@$(BIN)/python scripts/mutate.py $(ARGS)

docs/call.svg: setup ## draw the recorded call for the README
	@out=$$(mktemp -d) && $(BIN)/agent-runtime console $(SCRIPT) --input $(CALLER) --out $$out && cp $$out/call.svg $@; \
	  status=$$?; rm -rf $$out; exit $$status

sound-bus: ## install what the tests make a virtual sound card of
	@sh scripts/sound-bus.sh

model-servers: setup-test ## get what the tests ask for real: LiteLLM's proxy (740 MB), aimock (Node 20), LangGraph, two SDKs
	@sh scripts/environments.sh litellm langgraph openai anthropic
	@sh scripts/aimock.sh

models-page: setup-test ## write docs/models.md from docs/models.toml
	@$(BIN)/python -m tests.models_page

golden: setup-test ## have the official SDKs make our calls again, write tests/contract/golden (ARGS="openai litellm")
	@sh scripts/environments.sh openai anthropic google boto3 litellm livekit
	@$(BIN)/python -m tests.contract.golden $(ARGS)

lock: setup ## write requirements/*.txt again (UPGRADE=1 takes the newest)
	@UPGRADE=$(UPGRADE) sh scripts/lock.sh

clean: ## remove the environment, caches and what calls wrote here
	rm -rf .venv .venv-* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .bench build dist
	rm -f call.wav call.svg call.jsonl agent-runtime.log
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup:
	@PYTHON="$(PYTHON)" sh scripts/venv.sh run

setup-test:
	@PYTHON="$(PYTHON)" sh scripts/venv.sh test
