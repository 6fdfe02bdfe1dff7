#!/usr/bin/env bash
# Rewrites the locks from pyproject.toml: `make lock`. Every version is pinned and hashed; no index address is written.
# `all` is resolved first and constrains the others, so that the same package has one version everywhere.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=${UV:-.venv/bin/uv}
build=$(mktemp --suffix=.in)
trap 'rm -f "$build"' EXIT
# What `pip install --no-build-isolation -e .` needs.
printf 'hatchling>=1.27\neditables>=0.5\n' >"$build"
compile() {
  local name=$1; shift
  "$uv" pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
    --custom-compile-command "make lock" --no-annotate -o "requirements/$name.txt" pyproject.toml "$build" "$@"
}
compile all --extra all
for extra in dev broker batch page docs; do compile "$extra" --extra "$extra" -c requirements/all.txt; done
compile core -c requirements/all.txt
