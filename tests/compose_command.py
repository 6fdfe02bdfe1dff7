"""The compose command without Docker: built from its source, once a machine, to check docker-compose.yml as Docker would.

`docker compose config` needs no engine. Built from the Go module proxy; the binary is kept in the user's cache.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

VERSION = "v2.40.3"
PACKAGE = "github.com/docker/compose/v2/cmd"
# Of what the Dockerfile is parsed with: BuildKit, which compose itself depends on.
DOCKERFILE_CHECK = """package main

import (
	"encoding/json"
	"os"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

type stage struct {
	Name, Base string
	Commands   []string
}

func main() {
	said := []string{}
	warn := func(rule, description, url, message string, location []parser.Range) {
		said = append(said, rule+": "+message)
	}
	parsed, err := parser.Parse(os.Stdin)
	if err != nil {
		panic(err)
	}
	for _, warning := range parsed.Warnings {
		said = append(said, warning.Short)
	}
	stages, _, err := instructions.Parse(parsed.AST, linter.New(&linter.Config{Warn: warn}))
	if err != nil {
		panic(err)
	}
	found := []stage{}
	for _, one := range stages {
		names := []string{}
		for _, command := range one.Commands {
			names = append(names, command.Name())
		}
		found = append(found, stage{one.Name, one.BaseName, names})
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{"stages": found, "warnings": said})
}
"""


class NoGoError(Exception):
    """There is no Go toolchain to build with."""


def built() -> tuple[Path, Path]:
    """Return the compose command and the Dockerfile's checker, built where they are not there yet (minutes).

    Raises `NoGoError` without Go, `subprocess.CalledProcessError` where the build fails.
    """
    cache = (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        / "engram-tests"
        / f"compose-{VERSION}"
    )
    compose, checker = cache / "docker-compose", cache / "dockerfile-check"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        source = cache / "source"
        known = source / "check" / "main.go"
        if compose.is_file() and checker.is_file() and known.read_text("utf-8") == DOCKERFILE_CHECK:
            return compose, checker
        if shutil.which("go") is None:
            raise NoGoError(
                "no Go toolchain: Go 1.24 or newer (go.dev) builds docker compose, which checks its file"
            )
        known.parent.mkdir(parents=True, exist_ok=True)
        known.write_text(DOCKERFILE_CHECK, "utf-8")
        (source / "go.mod").write_text("module engram-tests\n\ngo 1.24\n", "utf-8")
        for arguments in (
            ["get", f"{PACKAGE}@{VERSION}"],
            ["build", "-p", "1", "-o", str(compose), PACKAGE],
            ["build", "-mod=mod", "-p", "1", "-o", str(checker), "./check"],
        ):
            subprocess.run(["go", *arguments], cwd=source, check=True, capture_output=True, text=True)
    return compose, checker
