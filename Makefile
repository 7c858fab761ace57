# tyk.upgrade: everything a contributor runs. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The Python environment is made on first use, outside the checkout (tests/lab/bootstrap.sh).
VENV = $(eval VENV := $$(shell tests/lab/bootstrap.sh))$(or $(VENV),$(error the Python environment could not be built; see above))
RUN = PATH="$(VENV)/bin:$$PATH" ANSIBLE_CONFIG="$(CURDIR)/ansible.cfg" "$(VENV)/bin/python"

export SCENARIO
# Which lab `demo` and `lab-*` work on: docker (default), linux, compose or mixed.
export LAB_TARGET := $(or $(TARGET),$(LAB_TARGET))
# From which version to which: 1, 2, 3 (the paths of the published procedure) or gap; 5.3.0 to 5.8.9 by default.
export LAB_STORY := $(or $(STORY),$(LAB_STORY))

.PHONY: help demo test lab-up lab-down lab-reset lab-status lint sanity units conformance refusals faults parity hosts watched kubernetes-check bench package molecule collections clean

help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: collections ## Upgrade the lab under load and report (TARGET=docker|linux|compose|mixed; STORY=1|2|3|gap; PLUGINS=source|artifacts|bundle; BREAK=plugin: the refusal of a wrong compiler)
	@$(RUN) tests/lab/demo.py $(if $(BREAK),--break $(BREAK)) $(if $(PLUGINS),--plugins $(PLUGINS))

test: collections ## Everything below, side by side; closes with "N passed, N failed"
	@$(RUN) tests/lab/suite.py

lab-up: collections ## Start the lab (repairs one that is half up)
	@$(RUN) tests/lab/lab.py up

lab-down: ## Remove the lab: containers, networks, volumes, processes
	@$(RUN) tests/lab/lab.py down

lab-reset: collections ## Take the lab back to its first version
	@$(RUN) tests/lab/lab.py reset

lab-status: ## Say what of the lab is up
	@$(RUN) tests/lab/lab.py status

lint: collections ## ansible-lint (production), ruff, mypy, yamllint
	@$(RUN) tests/lab/checks.py lint

sanity: ## ansible-test sanity on the default Python
	@$(RUN) tests/lab/checks.py sanity

units: collections ## Unit tests (those that need an engine run when one answers)
	@$(RUN) tests/lab/checks.py units

conformance: collections ## The stand-ins behave like the versions they claim (VERSIONS=4.0.16,5.2.5: these only)
	@$(RUN) tests/lab/checks.py conformance

refusals: collections ## Every bad input is refused before any change (TARGET=linux: those of Linux hosts, not part of test)
	@$(RUN) tests/lab/checks.py refusals

faults: collections ## A gateway that fails and a killed run, in the middle of the roll (not part of test)
	@$(RUN) tests/lab/checks.py faults

parity: collections ## Check mode predicts the run; the second run changes nothing
	@$(RUN) tests/lab/checks.py parity

hosts: collections ## Packages on real hosts and services of Compose: upgraded, killed at each step, refused for each bad input
	@$(RUN) tests/lab/checks.py hosts

watched: collections ## A compilation that is watched, when the way to it is cut or it is killed (minutes; not part of test)
	@$(RUN) tests/lab/checks.py watched

kubernetes-check: collections ## What needs a cluster, on the one that KUBECONFIG names (KUBERNETES_IMAGE: with Python; not part of test)
	@$(RUN) tests/lab/checks.py kubernetes

bench: collections ## Ratios and limits: bundles, plugins, services out (TYK_BINARY: a real gateway; wants a quiet machine; not part of test)
	@$(RUN) tests/lab/checks.py bench

package: ## The tarball works when only meta, plugins, roles and playbooks are installed
	@$(RUN) tests/lab/checks.py package

molecule: collections ## A Molecule scenario (SCENARIO=upgrade_docker|upgrade_compose|upgrade_apt|upgrade_dnf)
	@$(RUN) tests/lab/checks.py molecule

collections:
	@mkdir -p build/collections/ansible_collections/tyk
	@[ "$$(readlink -f build/collections/ansible_collections/tyk/upgrade)" = "$$(pwd -P)" ] || ln -sfn ../../../.. build/collections/ansible_collections/tyk/upgrade

clean: ## Remove what was built in the checkout (the lab keeps running; the cache outside the checkout stays)
	@rm -rf build dist
