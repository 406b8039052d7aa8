# `make` lists the commands. State lives in HILMIX_VAR (var/), the server listens on PORT (8000).

PYTHON ?= python3
PORT ?= 8000
SERVE ?= 1
VENV := .venv
BIN := $(VENV)/bin
export PORT HILMIX_VAR

ifeq ($(filter 4.% 5.%,$(MAKE_VERSION)),)
$(error make $(MAKE_VERSION) is too old: install GNU make 4 or later (apt install make))
endif

.DEFAULT_GOAL := help
.PHONY: help demo serve test services check messages screenshots bench load realdata faults clean tools

help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/installed-run node_modules/installed ## set up, build the demonstration, serve it (SERVE=0: build only)
	@$(BIN)/python manage.py prepare
	@$(BIN)/python manage.py demo
ifneq ($(SERVE),0)
	@$(BIN)/python manage.py demo --links
	@exec $(BIN)/python manage.py serve
endif

serve: $(VENV)/installed-run node_modules/installed ## serve what is in HILMIX_VAR: web and workers
	@$(BIN)/python manage.py prepare
	@exec $(BIN)/python manage.py serve

test: $(VENV)/installed-dev node_modules/installed ## set up and run all tests (browser tests with Chromium)
	@sh .ci/chromium
	@sh .ci/pango
	npm test --silent
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not faults and not services"
	@sh .ci/test-services $(BIN)/python

services: ## start PostgreSQL and Redis for the tests that need them (as root: installs them)
	@sh .ci/services

check: export HILMIX_VAR := $(VENV)/check-var
check: $(VENV)/installed-dev ## lint, types, layers, migrations, API snapshot, known vulnerabilities
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file $(VENV)/openapi.yml
	diff -u docs/openapi.yml $(VENV)/openapi.yml
	@sh .ci/audit

# Participants' pages are translated; those of researchers and admins are in English.
NOT_PARTICIPANTS := .* *.egg-info node_modules var bench/* hilmix/* tests/* training/* */models.py */panel.py \
	elicitation/images/* elicitation/studies/[!pt]* elicitation/studies/p[!r]* elicitation/studies/t[!e]* \
	elicitation/studies/text_* elicitation/flow/findings.py elicitation/recruiters/[!p]* \
	elicitation/monitoring/* elicitation/management/* templates/[!ep]* templates/error.html templates/elicitation/[!p]* \
	templates/elicitation/p[!a]* templates/elicitation/pay* templates/elicitation/participation*
messages: $(VENV)/installed-run ## collect participants' sentences into locale/ and compile it (needs GNU gettext)
	@$(BIN)/python manage.py makemessages --locale he --no-location --no-obsolete --no-wrap \
		$(foreach pattern,$(NOT_PARTICIPANTS),--ignore '$(pattern)')
	@$(BIN)/python manage.py compilemessages --locale he --ignore $(VENV)

screenshots: $(VENV)/installed-dev node_modules/installed ## take the pictures of docs/how-to-prolific.md and of reports anew
	@sh .ci/chromium
	HILMIX_SCREENSHOTS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/system/test_howto.py tests/system/test_report_pictures.py

bench: $(VENV)/installed-dev node_modules/installed ## print measured figures (ONLY=elicitation|monitoring|hub|training|reports)
	@$(BIN)/python -m bench $(ONLY)

load: $(VENV)/installed-dev node_modules/installed ## 50 people at once and half an hour's participants, against a real server
	@$(BIN)/python -m bench.load

realdata: $(VENV)/installed-dev ## the tests and the experiment on real data (minutes to an hour)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m realdata
	$(BIN)/python -m bench.realdata

faults: $(VENV)/installed-dev node_modules/installed ## long fault tests with real processes
	$(BIN)/python -m pytest -m faults

clean: ## remove what was installed and built; state in var/ stays
	rm -rf $(VENV) node_modules build *.egg-info .mypy_cache .ruff_cache .pytest_cache

tools:
	@sh .ci/tools $(PYTHON)

$(VENV)/installed-run: pyproject.toml constraints.txt | tools
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[web,train]"
	@touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | tools
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[web,train,pdf,production,dev]"
	@# An oracle of the tests, without the dozen libraries that it needs for what we do not ask it.
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt --no-deps netcal
	@touch $(VENV)/installed-run $@

node_modules/installed: package.json package-lock.json | tools
	npm ci --no-audit --no-fund
	@touch $@
