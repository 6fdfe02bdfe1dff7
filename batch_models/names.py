"""The batch models by name, without torch: for the command line's help and checks."""

from __future__ import annotations

from typing import Final

BATCH_MODELS: Final = {
    "hybrid": "self-attention over the user's recent events, item content, popularity and lifts between items",
    "neumf": "neural matrix factorisation (He et al. 2017), started from a trained GMF and MLP",
    "gmf": "generalised matrix factorisation (He et al. 2017)",
    "mlp": "a tower of dense layers (He et al. 2017)",
    "mf": "dot products with biases (Rendle et al. 2020)",
    "ials": "implicit alternating least squares (Rendle et al. 2022)",
    "content": "items like those the user had, by genres, decade and text (--content)",
    "popularity": "how many users have had an item",
}
