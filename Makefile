.DEFAULT_GOAL := help
.PHONY: help demo cloud cloud-down cloud-test test quick lint docs generate golden clean setup

PYTHON := .venv/bin/python
REQUIRED := $(if $(filter true,$(CI)),--require-hypervisor)

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

demo: ## try novadev on a made-up cloud
	@tools/setup demo
	@$(PYTHON) demo/run.py

cloud: ## a real Nova with two compute hosts, to type along; RELEASE=28 for an older one
	@tools/setup cloud $(RELEASE)
	@exec env NOVADEV_CLOUD_RELEASE=$(RELEASE) NOVADEV_CLOUD_KEEP=$(KEEP) $(PYTHON) cloud/run.py up

cloud-down: ## end that cloud, and remove what it wrote
	@$(PYTHON) cloud/run.py down

cloud-test: setup ## what novadev says, compared with what that Nova does
	@tools/cloud-test $(RELEASE)

test: lint quick ## everything: linters and the whole test suite
	$(PYTHON) -m pytest -m slow -n 2 --dist loadfile $(REQUIRED)
	@tools/cloud-test $(if $(REQUIRED),,--where-possible)

quick: setup ## the tests that take no hypervisor and no long time
	$(PYTHON) -m pytest -m "not slow" -n auto --dist loadfile $(REQUIRED)

lint: setup ## ruff and mypy
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy --strict novadev

docs: setup ## the HTML pages, in docs/_build
	$(PYTHON) -m sphinx -W -q -b html docs docs/_build

generate: setup ## the man pages, and the parts of docs/ that the program itself writes
	$(PYTHON) docs/generate.py

golden: setup ## the files of what commands print, after a sentence was changed
	NOVADEV_GOLDEN=1 $(PYTHON) -m pytest tests/cli/test_golden.py

clean: ## remove everything that was made here, and end a cloud
	@[ ! -e .cloud/run ] || $(PYTHON) cloud/run.py down
	rm -rf .venv .nova .cloud .cache build dist docs/_build *.egg-info
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup:
	@tools/setup test
