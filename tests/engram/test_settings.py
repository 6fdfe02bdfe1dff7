"""One settings object: where values come from, and what is said of bad ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from engram.environment import SECRETS
from engram.settings import (
    FIELDS,
    Settings,
    child_environment,
    describe,
    description,
    flag_name,
    kafka_security,
    load,
    load_saved,
    to_toml,
)
from engram.time_range import time_range_ms
from eventlog.errors import SettingsError


def _toml(folder: Path, text: str) -> Path:
    path = folder / "settings.toml"
    path.write_text(text, "utf-8")
    return path


def test_defaults_stand_when_nothing_is_said() -> None:
    assert load({}, environment={}) == Settings()


def test_flags_win_over_the_environment_and_the_environment_over_the_file(tmp_path: Path) -> None:
    file = _toml(tmp_path, "batch_size = 1\npack = 1\nseed = 1\n")
    environment = {"ENGRAM_BATCH_SIZE": "2", "ENGRAM_PACK": "2"}
    found = load({"batch_size": "3", "limit": None}, file, environment)
    assert (found.batch_size, found.pack, found.seed, found.limit) == (3, 2, 1, None)


def test_the_file_of_the_working_folder_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "engram.toml").write_text('models = ["hebbian"]\nmin_rating = 4\n')
    found = load({}, environment={})
    assert (found.models, found.min_rating) == (("hebbian",), 4.0)


def test_lists_in_the_environment_are_separated_by_commas_and_empty_variables_are_unset() -> None:
    found = load({}, environment={"ENGRAM_MODELS": "popularity, hebbian", "ENGRAM_KAFKA": ""})
    assert found.models == ("popularity", "hebbian")
    assert found.kafka is None


def test_variables_that_are_not_ours_or_not_settings_are_left_alone() -> None:
    environment = {"PATH": "/bin", "ENGRAM_DEBUG": "1", "ENGRAM_FAILPOINT": "polled:1"}
    assert load({}, environment=environment) == Settings()


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        ({"batch_size": 0}, ("batch_size is 0", "--batch-size", ">= 1")),
        ({"batch_size": "many"}, ("batch_size is 'many'", "--batch-size", "expected int")),
        ({"log": "kafak"}, ("log is 'kafak'", "--log", "expected one of embedded, kafka")),
        ({"kafka": "localhost"}, ("kafka is 'localhost'", "--bootstrap", "HOST:PORT")),
        ({"min_rating": "nan"}, ("min_rating is 'nan'", "--min-rating", "finite")),
        ({"rate": -1.0}, ("rate is -1.0", "--rate", "> 0")),
        ({"seed": -1}, ("seed is -1", "--seed", ">= 0")),
        ({"topic_prefix": "a b"}, ("topic_prefix is 'a b'", "letters, digits")),
        ({"from_time": "yesterday"}, ("from_time is 'yesterday'", "--from", "2000-01-31")),
        ({"metrics_port": 70_000}, ("metrics_port is 70000", "<= 65535")),
        ({"rate": 1.0, "speed": 1.0}, ("rate is 1 and speed is 1", "expected one of them")),
        ({"rating_min": 5.0, "rating_max": 5.0}, ("rating_max is 5", "more than rating_min")),
    ],
)
def test_a_bad_flag_is_named_with_its_value_and_what_was_expected(
    flags: dict[str, object], parts: tuple[str, ...]
) -> None:
    with pytest.raises(SettingsError) as error:
        load(flags, environment={})
    for part in parts:
        assert part in str(error.value)


def test_a_bad_value_says_which_variable_or_file_it_came_from(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"pack is '0' \(environment variable ENGRAM_PACK\)"):
        load({}, environment={"ENGRAM_PACK": "0"})
    file = _toml(tmp_path, "pack = 'x'\n")
    with pytest.raises(SettingsError, match=r"pack is 'x' \(file .*settings\.toml\)"):
        load({}, file, {})


def test_an_unknown_name_is_an_error_with_the_likely_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"batchsize \(environment .*did you mean batch_size\?"):
        load({}, environment={"ENGRAM_BATCHSIZE": "3"})
    with pytest.raises(SettingsError, match=r"unknown setting zebra .*expected one of"):
        load({}, _toml(tmp_path, "zebra = 3\n"), {})


@pytest.mark.parametrize("text", ["batch_size = ", "\udcff"])
def test_a_file_that_is_no_toml_is_an_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "broken.toml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SettingsError, match=r"broken\.toml"):
        load({}, file, {})


def test_a_file_that_is_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is none"):
        load({}, tmp_path / "absent.toml", {})


def test_secrets_are_masked_and_never_written() -> None:
    secret = "correct horse"
    found = load({"sasl_plain_username": "ada"}, environment={"ENGRAM_SASL_PLAIN_PASSWORD": secret})
    assert found.sasl_plain_password == secret
    assert secret not in describe(found)
    assert "********" in describe(found)
    assert secret not in to_toml(found)
    assert kafka_security(found) == {"sasl_plain_username": "ada", "sasl_plain_password": secret}
    assert child_environment(found, {})["ENGRAM_SASL_PLAIN_PASSWORD"] == secret


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("correct horse\n", "utf-8")
    found = load({}, environment={"ENGRAM_SASL_PLAIN_PASSWORD_FILE": str(file)})
    assert found.sasl_plain_password == "correct horse"
    # A child gets the secret itself: the file may be its parent's alone.
    assert child_environment(found, {"ENGRAM_SASL_PLAIN_PASSWORD_FILE": str(file)}) == {
        "ENGRAM_SASL_PLAIN_PASSWORD": "correct horse"
    }


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe", b"x" * 5000])
def test_a_file_without_a_secret_is_named(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"ENGRAM_SSL_PASSWORD_FILE is '.*password', expected a file"):
        load({}, environment={"ENGRAM_SSL_PASSWORD_FILE": str(file)})


def test_a_secret_that_is_given_twice_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="given twice, expected one of"):
        load({}, environment={"ENGRAM_SSL_PASSWORD_FILE": "x", "ENGRAM_SSL_PASSWORD": "y"})


def test_a_bad_secret_is_not_repeated_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as error:
        load({}, _toml(tmp_path, "ssl_password = 12345\n"), {})
    assert "12345" not in str(error.value)


def test_a_child_reads_back_what_its_parent_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = load(
        {"dataset": 'a "quoted" café', "models": ["hebbian"], "limit": 5, "min_rating": 4, "merge": "false"},
        environment={"ENGRAM_SSL_PASSWORD": "s3cret"},
    )
    file = _toml(tmp_path, to_toml(parent))
    environment = child_environment(parent, {"ENGRAM_LIMIT": "9", "ENGRAM_DEBUG": "1"})
    assert environment == {"ENGRAM_DEBUG": "1", "ENGRAM_SSL_PASSWORD": "s3cret"}
    assert load({}, file, environment) == parent
    monkeypatch.setenv("ENGRAM_LIMIT", "9")
    monkeypatch.setenv("ENGRAM_SSL_PASSWORD", "s3cret")
    assert load_saved(file) == parent


def test_times_are_utc_milliseconds() -> None:
    # 2000-01-01 is 10,957 days after 1970-01-01.
    start = 10_957 * 86_400_000
    settings = load({"from_time": "2000-01-01", "to_time": "2000-01-01T02:00:00+01:00"}, environment={})
    assert time_range_ms(settings) == (start, start + 3_600_000)
    assert time_range_ms(Settings()) == (None, None)


@pytest.mark.parametrize(
    "times",
    [
        {"from_time": "2000-13-01"},
        {"from_time": "2000-01-02", "to_time": "2000-01-01"},
        {"from_time": "2000-01-01", "to_time": "2000-01-01"},
    ],
)
def test_a_time_range_that_cannot_be_is_an_error(times: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="_time is '2000"):
        time_range_ms(load(times, environment={}))


def test_every_setting_has_a_description_and_a_flag_of_its_own() -> None:
    assert "None" not in {description(name) for name in FIELDS}
    assert len({flag_name(name) for name in FIELDS}) == len(FIELDS)
    assert set(FIELDS) >= SECRETS
