"""The registry of online models: one line a model."""

from __future__ import annotations

from online_models.batch import Batch, BatchChampion
from online_models.blend import Blend
from online_models.blend_batch import BlendBatch
from online_models.content import Content
from online_models.decayed_popularity import DecayedPopularity
from online_models.hebbian import Hebbian
from online_models.isgd import ISGD, ISGDNegatives
from online_models.model import Model
from online_models.popularity import Popularity
from online_models.random_scores import RandomScores
from online_models.rating_means import RatingMean, RatingMeans
from online_models.rating_synapses import RatingSynapses
from online_models.river_baseline import RiverBaseline
from online_models.river_biased_mf import RiverBiasedMF
from online_models.river_funk_mf import RiverFunkMF
from online_models.user_hebbian import UserHebbian
from online_models.wisard import Wisard

MODELS: dict[str, type[Model]] = {
    model.name: model
    for model in (
        Popularity,
        DecayedPopularity,
        Hebbian,
        Blend,
        RatingMean,
        RatingMeans,
        RiverBaseline,
        RiverFunkMF,
        RiverBiasedMF,
        UserHebbian,
        ISGD,
        ISGDNegatives,
        RandomScores,
        RatingSynapses,
        Wisard,
        Content,
        Batch,
        BatchChampion,
        BlendBatch,
    )
}

# What a run uses when it names no model.
# The first of them that is no popularity model is the champion, with which the others are compared.
DEFAULT_MODELS = ("popularity", "decayed_popularity", "blend", "hebbian")
