# The two commands a newcomer needs. Both start from Python 3.11+ and a network to PyPI.
#
#   make quickstart   install into .venv, then compose, fine-tune and evaluate a small model
#   make test         install into .venv, then run every check (scripts/check)
#
# `make quickstart PYTHON=/path/to/python3` chooses the interpreter; the default is the first of
# $(PYTHON) that is new enough.

PYTHON ?= python3 python3.13 python3.12 python3.11
VENV := .venv
INSTALLED := $(VENV)/.installed

.PHONY: quickstart test

quickstart: $(INSTALLED)
	$(VENV)/bin/warmstart quickstart

test: $(INSTALLED)
	VIRTUAL_ENV="$(CURDIR)/$(VENV)" scripts/check

# Written last, so that an interrupted install runs again.
$(INSTALLED): pyproject.toml constraints.txt
	@for python in $(PYTHON); do \
		if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "Installing into $(VENV) with $$($$python --version); the first time takes some minutes."; \
			exec $$python -m venv $(VENV); \
		fi; \
	done; \
	echo "warmstart needs Python 3.11 or newer; none of these is: $(PYTHON)." >&2; \
	echo "Install one from https://www.python.org/downloads/, or name yours:" \
		"make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; \
	exit 1
	$(VENV)/bin/python -m pip install -c constraints.txt -e '.[dev]'
	@touch $@
