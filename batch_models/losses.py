"""Losses of a positive and its negatives, by their logits. All of them return a mean over positives.

| name | formula, of a positive's logit s and its negatives' t_1..t_m | source |
|---|---|---|
| bce | -ln sigma(s) - sum_j ln sigma(-t_j) | He et al. 2017, eq. 7 |
| bpr | -1/m sum_j ln sigma(s - t_j) | Rendle et al. 2009 |
| softmax | -ln(e^s / (e^s + sum_j e^t_j)) | sampled softmax, uniform proposals |
| mse | (s - rating)^2, without negatives | explicit ratings |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812, the field's name for it
from torch import Tensor

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def bce(positive: Tensor, negative: Tensor, weight: Tensor) -> Tensor:
    """Binary cross entropy. positive, weight: float[b]; negative: float[b, m], not weighted. A scalar."""
    return (weight * F.softplus(-positive) + F.softplus(negative).sum(1)).mean()  # [b] -> []


def bpr(positive: Tensor, negative: Tensor, weight: Tensor) -> Tensor:
    """Bayesian personalised ranking. positive, weight: float[b]; negative: float[b, m], m >= 1. A scalar."""
    return (weight * F.softplus(negative - positive[:, None]).mean(1)).mean()  # [b, m] -> [b] -> []


def softmax(positive: Tensor, negative: Tensor, weight: Tensor) -> Tensor:
    """Sampled softmax. positive, weight: float[b]; negative: float[b, m], m >= 1. A scalar."""
    logits = torch.cat((positive[:, None], negative), 1)  # [b, 1 + m]
    return (weight * (torch.logsumexp(logits, 1) - positive)).mean()  # [b] -> []


def squared_error(predicted: Tensor, rating: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean squared error of ratings. All float[b]. A scalar."""
    return (weight * (predicted - rating).square()).mean()  # [b] -> []


IMPLICIT: Final[dict[str, Loss]] = {"bce": bce, "bpr": bpr, "softmax": softmax}
NAMES: Final = (*IMPLICIT, "mse")
