# Everything a newcomer, a developer and CI call. Each target sets up what it needs by itself.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# Any Python from 3.11 to 3.13; the newest that is there, unless PYTHON says which.
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3,$(shell command -v $(p))))
export EMOSHIFT_CACHE ?= $(CURDIR)/.cache
# The data sets, where they lie beside the checkout; no command guesses their folder.
export EMOSHIFT_DATA ?= $(realpath ../shared/data)
TESTS ?= tests
FRAMES ?= 200000
MINUTES ?= 12
# Home Assistant of 2025 runs on no other.
PYTHON_HOMEASSISTANT ?= python3.13
# For which Debian packages are built, and its Python.
DEBIAN ?= 12
PYTHON_OF_DEBIAN_12 := 3.11
PYTHON_OF_DEBIAN_13 := 3.13
# Any build of torch, for test-hf alone.
TORCH ?= torch==2.13.0
# What runs the pipelines of a Jetson's camera.
GSTREAMER := gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good
# More for pytest, such as ARGS='-m "not slow"'.
ARGS ?=

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

.PHONY: demo
demo: .venv-demo/ready ## Run the daemon on a clip (or CLIP=classroom, CLIP=FILE) and print what comes through a broker
	@.venv-demo/bin/edge assets fetch
	@.venv-demo/bin/edge demo $(CLIP)

.PHONY: test
test: .venv/ready ## Run the tests that take seconds, but for the dashboard's (TESTS=path for a part of them)
	@scripts/system-packages mosquitto libegl1 libgles2
	@.venv/bin/edge assets fetch --all || true
	@.venv/bin/python -m pytest $(TESTS) --ignore=tests/dashboard --quiet -m "not slow" $(ARGS)

.PHONY: test-all
test-all: ## Run the slow ones too (eight minutes)
	@scripts/system-packages $(GSTREAMER)
	@$(MAKE) --no-print-directory test ARGS='-m ""'

.PHONY: test-dashboard
test-dashboard: .venv/ready ## Test the dashboard in a real browser, with a real broker and PostgreSQL
	@scripts/system-packages mosquitto chromium postgresql prometheus
	@.venv/bin/edge-dashboard fetch || true
	.venv/bin/python -m pytest tests/dashboard $(ARGS)

.PHONY: dashboard-demo
dashboard-demo: .venv-dashboard/ready ## Show the dashboard with simulated classrooms
	@.venv-dashboard/bin/edge-dashboard demo

.PHONY: test-train
test-train: .venv-train/ready ## Test the training and the conversion too (installs TensorFlow)
	@.venv-train/bin/edge assets fetch --all
	.venv-train/bin/python -m pytest tests/train tests/convert $(ARGS)

.PHONY: test-hf
test-hf: .venv-hf/ready ## Test the fine-tuning of Hugging Face classifiers, offline (installs torch)
	HF_HUB_OFFLINE=1 .venv-hf/bin/python -m pytest tests/train/test_huggingface.py $(ARGS)

.PHONY: test-homeassistant
test-homeassistant: .venv/ready .venv-homeassistant/ready ## Check the announcements to Home Assistant with its own schemas (needs Python 3.13)
	EMOSHIFT_HOMEASSISTANT="$(CURDIR)/.venv-homeassistant/bin/python" .venv/bin/python -m pytest tests/homeassistant -s $(ARGS)

.PHONY: test-install
test-install: .venv/ready ## Install the device lock and the wheel elsewhere, and replay the sample clip there
	@scripts/test-install "$(PYTHON)"

.PHONY: test-package
test-package: .venv/ready ## Build the Debian package, install it into a clean Debian and run it there (root)
	@scripts/test-package .venv/bin/python

.PHONY: test-release
test-release: .venv/ready ## Build two releases as signed apt repositories, and upgrade a clean Debian from one to the other (root)
	@scripts/test-release .venv/bin/python

.PHONY: test-containers
test-containers: .venv/ready ## Build the images without a registry, and send a clip through them with Podman (root)
	@scripts/test-containers .venv/bin/python

.PHONY: test-technician
test-technician: .venv/ready ## Play docs/install.md in a clean Debian 12 and 13 run by systemd, with a real broker (root, ten minutes)
	@scripts/test-technician .venv/bin/python

.PHONY: test-faults
test-faults: .venv/ready ## Kill, cut and starve everything, thousands of events long; prints a report
	@scripts/system-packages mosquitto strace libegl1 libgles2
	@.venv/bin/edge assets fetch --all
	EMOSHIFT_FAULTS=1 .venv/bin/python -m pytest tests/faults tests/edge/outbox/test_store.py \
	  tests/edge/publish/test_delivery.py tests/edge/publish/test_broker_rules.py \
	  tests/edge/publish/test_refusals.py tests/dashboard/test_refusals.py -s

.PHONY: test-attacks
test-attacks: .venv/ready ## Attack a running dashboard and broker as a stranger would; prints what it costs
	@scripts/system-packages mosquitto
	EMOSHIFT_ATTACKS=1 .venv/bin/python -m pytest tests/attacks -s $(ARGS)

.PHONY: test-memory
test-memory: .venv/ready ## Replay 200,000 frames through the vision process and see that its memory stays (half an hour or more)
	@.venv/bin/edge assets fetch --all
	.venv/bin/python -m tests.faults.memory $(FRAMES)

.PHONY: test-fuzz
test-fuzz: .venv/ready ## Fuzz configuration, manifest, messages, wire, videos, csv and pictures (MINUTES=12 for each)
	@.venv/bin/edge assets fetch --all
	.venv/bin/python -m tests.fuzz --minutes $(MINUTES)

.PHONY: test-arm64
test-arm64: .venv/ready ## Install and replay on emulated boards (Pi 4, Zero 2 W, Pi 5); needs root, times nothing
	@.venv/bin/edge assets fetch --all
	PYTHON=.venv/bin/python scripts/arm64

.PHONY: members
members: .venv-train/ready ## Train the picture members from nothing into build/members (TEACHERS=train: their teachers first; ARGS='--epochs 1' to try)
	@TEACHERS="$(TEACHERS)" PATH="$(CURDIR)/.venv-train/bin:$$PATH" scripts/train-members build/members $(ARGS)

# The skipped rules are those of ruff (S104, S108, S310, S608, S704), where each exception has its reason.
.PHONY: bandit
bandit: .venv-audit/ready ## Look for insecure code
	.venv-audit/bin/bandit --quiet --recursive --severity-level medium --skip B104,B108,B310,B608,B704 emoshift edge dashboard convert train

.PHONY: audit
audit: bandit ## Look for insecure code, and for known vulnerabilities of everything locked (needs the internet)
	scripts/audit

.PHONY: sbom
sbom: .venv-audit/ready ## Write the bills of materials (CycloneDX) of both packages into build/sbom, with checksums
	@mkdir -p build/sbom
	.venv-audit/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible -o build/sbom/emoshift.cdx.json requirements/device.txt
	.venv-audit/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible -o build/sbom/emoshift-dashboard.cdx.json requirements/dashboard.txt
	scripts/checksums build/sbom

.PHONY: release
release: .venv/ready sbom ## Build wheel, Debian packages, bills of materials, checksums and apt repository (GPG_KEY=..., SIGNING_KEY=...)
	@scripts/system-packages apt-utils gnupg zstd
	@scripts/release .venv/bin/python

.PHONY: deb
deb: .venv-demo/ready ## Build the Debian package of a device into dist (DEBIAN=13, ARCH=amd64 for a PC)
	@.venv-demo/bin/python packaging/build_deb.py --arch "$(or $(ARCH),arm64)" --python "$(PYTHON_OF_DEBIAN_$(DEBIAN))"

.PHONY: dashboard-deb
dashboard-deb: .venv-dashboard/ready ## Build the Debian package of the dashboard into dist (DEBIAN=13, ARCH=arm64)
	@.venv-dashboard/bin/python packaging/build_dashboard_deb.py --arch "$(or $(ARCH),amd64)" --python "$(PYTHON_OF_DEBIAN_$(DEBIAN))"

.PHONY: containers
containers: .venv/ready ## Build the images of packaging/compose.yaml from the Debian packages (ENGINE=docker, or OFFLINE=1 without a registry)
	@scripts/containers .venv/bin/python

.PHONY: sign
sign: ## Sign the shipped bundle again after a change (SIGNING_KEY=an Ed25519 key whose public half is in edge/bundle/trusted-keys)
	openssl pkeyutl -sign -inkey "$(SIGNING_KEY)" -rawin -in models/default/manifest.json -out models/default/manifest.sig

.PHONY: check
check: .venv/ready ## Format, lint, types and import contracts
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache

.PHONY: format
format: .venv/ready ## Put the code into its format
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

.PHONY: docs
docs: .venv/ready ## Make the generated references again
	.venv/bin/python -m tests.references

.PHONY: docs-site
docs-site: .venv-docs/ready docs ## Make the documentation as a web site in build/site, API pages included
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet --strict
	@echo "build/site/index.html"

.PHONY: readme-demo
readme-demo: .venv-demo/ready ## Put what the demonstration prints into README.md
	@.venv-demo/bin/edge assets fetch
	@.venv-demo/bin/python tests/readme_demo.py .venv-demo/bin/edge

.PHONY: locks
locks: .venv/ready ## Resolve the hashed lock files again
	.venv/bin/pip install --quiet uv
	cd requirements && for name in device mediapipe demo dashboard dev train hf docs; do \
	  ../.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-emit-index-url --override overrides.txt --upgrade $$name.in -o $$name.txt; done

.PHONY: clean
clean: ## Remove environments and caches
	rm -rf .venv .venv-* .cache build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

# Locks are installed without dependency resolution: they hold the whole closure, and MediaPipe's
# own wish for a second OpenCV is left out on purpose (requirements/overrides.txt).
.venv/ready: requirements/dev.txt pyproject.toml
	@scripts/environment .venv requirements/dev.txt "$(PYTHON)"

.venv-demo/ready: requirements/demo.txt pyproject.toml
	@scripts/environment .venv-demo requirements/demo.txt "$(PYTHON)"

.venv-dashboard/ready: requirements/dashboard.txt pyproject.toml
	@scripts/environment .venv-dashboard requirements/dashboard.txt "$(PYTHON)"
	@.venv-dashboard/bin/edge-dashboard fetch || true

.venv-train/ready: requirements/train.txt pyproject.toml
	@scripts/environment .venv-train requirements/train.txt "$(PYTHON)"

.venv-docs/ready: requirements/docs.txt pyproject.toml
	@scripts/environment .venv-docs requirements/docs.txt "$(PYTHON)"

.venv-homeassistant/ready: requirements/homeassistant.txt
	@"$(PYTHON_HOMEASSISTANT)" -m venv .venv-homeassistant
	@.venv-homeassistant/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: -r requirements/homeassistant.txt
	@touch $@

.venv-audit/ready: requirements/audit.txt
	@"$(PYTHON)" -m venv .venv-audit
	@.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/audit.txt
	@touch $@

# Torch is no part of the lock: its build is chosen for the machine (TORCH=... for another one).
.venv-hf/ready: requirements/hf.txt pyproject.toml
	@scripts/environment .venv-hf requirements/hf.txt "$(PYTHON)"
	.venv-hf/bin/python -m pip install --disable-pip-version-check "$(TORCH)"
