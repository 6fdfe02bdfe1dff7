"""What a model's parameters may be: the check that each configuration makes of itself."""

from __future__ import annotations

from typing import Any


def check_range(
    config: Any,
    *names: str,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
) -> None:
    """Check that each of these fields of `config` is >= least, > above and <= most, where given; NaN never is.

    Of a tuple, each member. Raises `ValueError` naming the field, its value and what was expected.
    """
    for name in names:
        value = getattr(config, name)
        members = value if isinstance(value, tuple) else (value,)
        if least is not None and not all(member >= least for member in members):
            raise ValueError(f"{name} is {value!r}, expected {least:g} or more")
        if above is not None and not all(member > above for member in members):
            raise ValueError(f"{name} is {value!r}, expected more than {above:g}")
        if most is not None and not all(member <= most for member in members):
            raise ValueError(f"{name} is {value!r}, expected {most:g} at most")
