"""Parameters out of range are refused by name, whichever model they are of."""

from __future__ import annotations

import dataclasses

import pytest

from online_models.registry import MODELS

NAN = float("nan")
# model, parameter, a value out of range, what is expected.
OUT_OF_RANGE = [
    ("hebbian", "trace_length", 0, "1 or more"),
    ("hebbian", "row_synapses", 0, "1 or more"),
    ("hebbian", "direct_neurons", -1, "0 or more"),
    ("hebbian", "step_decay", 0.0, "more than 0"),
    ("hebbian", "step_decay", 1.5, "1 at most"),
    ("hebbian", "gap_scale_s", 0.0, "more than 0"),
    ("hebbian", "gap_exponent", -0.5, "0 or more"),
    ("hebbian", "synapse_power", 0.7, "0.5 or 1"),
    ("hebbian", "popularity_weight", NAN, "0 or more"),
    ("user_hebbian", "audience", 0, "1 or more"),
    ("user_hebbian", "own_half_life_events", 0.0, "more than 0"),
    ("user_hebbian", "step_decay", NAN, "more than 0"),
    ("user_hebbian", "reverse", -1.0, "0 or more"),
]


@pytest.mark.parametrize(("model", "name", "value", "expected"), OUT_OF_RANGE)
def test_a_parameter_out_of_range_is_refused(model: str, name: str, value: float, expected: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value}, expected {expected}"):
        MODELS[model].config_type(**{name: value})


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_of_every_model_has_a_range(name: str) -> None:
    """Whatever can be set from the command line is checked: no parameter may be NaN, or far below 0."""
    kind = MODELS[name].config_type
    for field in dataclasses.fields(kind):
        if field.name == "latent_seed":
            continue  # any whole number
        with pytest.raises(ValueError, match=f"{field.name} is .*, expected"):
            kind(**{field.name: -1e9 if isinstance(field.default, int) else NAN})
