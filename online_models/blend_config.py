"""The blend's parameters, and what its kernels make of them; the formulas are at the top of `blend.py`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from online_models.ageing import AdaptiveDecayConfig
from online_models.blend_potentials import Leaks
from online_models.blend_state import Rule, Trace
from online_models.model import ClockName
from online_models.parameter_ranges import check_range


@dataclass(frozen=True)
class BlendConfig(AdaptiveDecayConfig):
    """See `online_models.blend` for the formulas; one set for all streams, what differs between them is learned.

    Potentials: leak and gap_exponent of short, long, lift, correction; slots: how many users have potentials.
    Learning: short_ and long_ of length (items), step_decay, gap_exponent, reverse. Priors in events.
    trend_half_lives_events, trend_half_lives_s: of the parts of the trend, beside the synapses' half-life.
    correction_rate, correction_length (items), correction_least (probability), bias_share (of the rate).
    direct_neurons, row_synapses: see `synapses.SynapseStore`.
    """

    half_life_events: float = 200_000.0
    half_life_s: float = 2 * 365 * 86_400.0
    drift_pace: int = 400
    drift_half_lives: float = 6.0
    trend_half_lives_events: tuple[float, ...] = (50.0, 300.0, 2_000.0, 20_000.0)
    trend_half_lives_s: tuple[float, ...] = (3_600.0, 6 * 3_600.0, 2 * 86_400.0, 14 * 86_400.0)
    leak: tuple[float, float, float, float] = (0.8, 0.98, 0.8, 0.95)
    gap_exponent: tuple[float, float, float, float] = (0.5, 0.05, 0.8, 0.05)
    gap_scale_s: float = 60.0
    slots: int = 64
    recall_length: int = 12
    short_length: int = 12
    short_step_decay: float = 0.88
    short_gap_exponent: float = 0.5
    short_reverse: float = 0.5
    long_length: int = 20
    long_step_decay: float = 0.94
    long_gap_exponent: float = 0.0
    long_reverse: float = 1.0
    short_prior: float = 3.0
    long_prior: float = 10.0
    lift_prior: float = 100.0
    first_weights: tuple[float, float, float, float, float, float] = (0.5, 0.5, 0.3, 0.8, -0.03, 0.1)
    weight_rate: float = 0.05
    share_rate: float = 0.001
    correction_rate: float = 0.05
    correction_length: int = 16
    correction_least: float = 0.005
    bias_share: float = 0.2
    direct_neurons: int = 4_096
    row_synapses: int = 256

    def __post_init__(self) -> None:
        """Raise `ValueError` for a parameter out of range."""
        super().__post_init__()
        check_range(self, "slots", "recall_length", "short_length", "long_length", least=1)
        check_range(self, "correction_length", "row_synapses", least=1)
        check_range(
            self, "direct_neurons", "gap_exponent", "short_gap_exponent", "long_gap_exponent", least=0
        )
        check_range(self, "short_reverse", "long_reverse", "correction_rate", "bias_share", least=0)
        check_range(self, "trend_half_lives_events", "trend_half_lives_s", "gap_scale_s", above=0)
        check_range(self, "short_prior", "long_prior", "lift_prior", "weight_rate", above=0)
        check_range(self, "leak", "short_step_decay", "long_step_decay", "correction_least", above=0, most=1)
        check_range(self, "share_rate", least=0, most=1)
        check_range(self, "first_weights", least=-1_000, most=1_000)
        if len(self.trend_half_lives_events) != len(self.trend_half_lives_s):
            raise ValueError("trend_half_lives_events and trend_half_lives_s are not equally many")


def rule_of(config: BlendConfig, clock: ClockName) -> Rule:
    """The parameters as kernels take them, in ticks of `clock`."""
    in_ticks = (
        config.trend_half_lives_events
        if clock == "event_count"
        else tuple(1000.0 * half_life for half_life in config.trend_half_lives_s)
    )
    return Rule(
        half_life=config.half_life_ticks(clock),
        trend_half_lives=np.array(in_ticks, np.float64),
        leaks=Leaks(
            leak=np.array(config.leak, np.float64),
            gap_exponent=np.array(config.gap_exponent, np.float64),
            gap_scale_ms=config.gap_scale_s * 1000.0,
            lift_prior=config.lift_prior,
            recall_length=config.recall_length,
        ),
        short=Trace(
            config.short_length, config.short_step_decay, config.short_gap_exponent, config.short_reverse
        ),
        long=Trace(config.long_length, config.long_step_decay, config.long_gap_exponent, config.long_reverse),
        short_prior=config.short_prior,
        long_prior=config.long_prior,
        weight_rate=config.weight_rate,
        share_rate=config.share_rate,
        correction_rate=config.correction_rate,
        correction_length=config.correction_length,
        correction_least=config.correction_least,
        bias_share=config.bias_share,
    )
