"""Models' parameters, from flags, environment and file to the models; what is said of bad ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from engram.inline import run_inline
from engram.model_parameters import configs
from engram.parts import lane_config
from engram.settings import Settings, describe, load, to_toml
from eventlog.errors import SettingsError
from online_models.isgd import ISGDConfig
from online_models.registry import MODELS


def loaded(
    params: Sequence[str] = (),
    *,
    models: Sequence[str] = ("isgd",),
    file: Path | None = None,
    **environment: str,
) -> Settings:
    return load({"params": list(params) or None, "models": list(models)}, file, environment)


def test_parameters_reach_the_models_and_the_lane_s_fingerprint() -> None:
    lane = lane_config(loaded(["isgd.rate=0.05", "isgd.factors=40"]))
    assert lane.build()["isgd"].config == ISGDConfig(rate=0.05, factors=40)
    assert lane.fingerprint()["models"]["isgd"]["rate"] == 0.05
    assert lane.fingerprint() != lane_config(loaded()).fingerprint()


def test_each_parameter_is_found_by_itself_in_file_environment_and_flags(tmp_path: Path) -> None:
    file = tmp_path / "engram.toml"
    file.write_text('params = ["isgd.rate=9"]\n[model.isgd]\nrate = 0.1\nfactors = 4\nnegatives = 1\n')
    found = loaded(
        ["isgd.factors=6"], file=file, ENGRAM_PARAMS="isgd.factors=5, isgd.negatives=2,isgd.fit_events=3"
    )
    assert found.params == ("isgd.factors=6", "isgd.fit_events=3", "isgd.negatives=2", "isgd.rate=0.1")
    assert configs(found.params) == {"isgd": ISGDConfig(rate=0.1, factors=6, negatives=2, fit_events=3)}


def test_the_same_value_written_in_another_way_is_the_same_setting() -> None:
    found = loaded(["isgd.rate=.05", " isgd.factors = 07 "])
    assert found.params == ("isgd.factors=7", "isgd.rate=0.05")
    assert found == loaded(["isgd.factors=7", "isgd.rate=1", "isgd.rate=5e-2"])


def test_a_child_reads_back_what_its_parent_had(tmp_path: Path) -> None:
    parent = loaded(["isgd.rate=1e-05"])
    file = tmp_path / "settings.toml"
    file.write_text(to_toml(parent), "utf-8")
    assert load({}, file, {}) == parent
    assert 'params = ["isgd.rate=1e-05"]' in describe(parent, changed_only=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("isgd.rate", ("'isgd.rate'", "expected MODEL.NAME=VALUE")),
        ("rate=0.1", ("'rate=0.1'", "expected MODEL.NAME=VALUE")),
        ("isgd.rate=", ("'isgd.rate='", "expected MODEL.NAME=VALUE")),
        ("isgb.rate=0.1", ("there is no model isgb", "did you mean isgd?")),
        ("isgd.rates=0.1", ("isgd has no parameter rates", "did you mean rate?")),
        ("isgd.zebra=0.1", ("isgd has no parameter zebra", "expected one of factors, rate, ")),
        ("random.rate=0.1", ("random has no parameter rate", "expected one of (none)")),
        ("isgd.rate=fast", ("isgd.rate is 'fast'", "expected a finite number")),
        ("isgd.rate=nan", ("isgd.rate is 'nan'", "expected a finite number")),
        ("isgd.rate=inf", ("isgd.rate is 'inf'", "expected a finite number")),
        ("isgd.factors=2.5", ("isgd.factors is '2.5'", "expected a whole number")),
        ("isgd.rate=-1", ("isgd.rate is -1.0", "expected more than 0")),
        ("isgd.factors=0", ("isgd.factors is 0", "expected 1 or more")),
    ],
)
def test_a_bad_parameter_is_named_with_its_value_and_what_was_expected(
    text: str, said: tuple[str, ...]
) -> None:
    with pytest.raises(SettingsError) as error:
        loaded([text])
    for part in (*said, "flag --param"):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("model = 3", "unknown setting model"),
        ("[model]\nisgd = 3", r"model\.isgd is 3 \(file .*, expected a table"),
        ("[model.isgd]\nrate = [1]", r"isgd\.rate is \[1\] \(file .*, expected one value"),
        ("[model.isgd]\nrate = true", r"isgd\.rate is 'true' \(file .*, expected a finite number"),
        ("[model.isgd]\nrat = 1", r"\(file .*isgd has no parameter rat; did you mean rate"),
        ("[model.isgd]\nrate = 0.0", r"isgd\.rate is 0\.0, expected more than 0 \(file "),
    ],
)
def test_a_bad_parameter_in_a_file_is_an_error_too(tmp_path: Path, toml: str, said: str) -> None:
    file = tmp_path / "engram.toml"
    file.write_text(toml)
    with pytest.raises(SettingsError, match=said):
        load({}, file, {})


def test_a_flag_for_a_model_that_is_not_learned_is_an_error_and_a_line_in_a_file_is_not(
    tmp_path: Path,
) -> None:
    with pytest.raises(
        SettingsError, match="isgd is not among the models, popularity: expected --model isgd"
    ):
        loaded(["isgd.rate=1"], models=["popularity"])
    with pytest.raises(SettingsError, match="isgd is not among the models, popularity, decayed_popularity"):
        load({"params": ["isgd.rate=1"]}, environment={})
    file = tmp_path / "engram.toml"
    file.write_text("[model.isgd]\nrate = 1\n")
    lane = lane_config(loaded(models=["popularity"], file=file))
    assert set(lane.fingerprint()["models"]) == {"popularity"}


def test_every_parameter_of_every_model_can_be_set() -> None:
    for name, model in MODELS.items():
        defaults = vars(model.config_type())
        found = loaded([f"{name}.{field}={value}" for field, value in defaults.items()], models=[name])
        assert configs(found.params) == ({name: model.config_type()} if defaults else {})


def test_result_json_states_what_was_set(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"dataset": "synthetic", "limit": 300, "models": ("isgd", "popularity")}
    found = run_inline(Settings(**settings, params=("isgd.rate=0.05",)), tmp_path / "one")
    default = run_inline(Settings(**settings), tmp_path / "two")
    assert found["models"]["isgd"]["config"]["rate"] == 0.05
    assert found["digest"] != default["digest"]
    assert found["models"]["popularity"] | {"events_per_second": 0} == default["models"]["popularity"] | {
        "events_per_second": 0
    }
