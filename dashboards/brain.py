"""The board "The brain": synapses, their weights and communities, WiSARD's memory, neurons."""

from __future__ import annotations

from dashboards.panels import Board, Panel, Query, Row, at, per_second

_WISARD_ONLY = "only where `wisard` is among the models"

BRAIN = Board(
    uid="engram-brain",
    title="Engram: the brain",
    question="How many synapses there are, how strong they are, and how they hang together.",
    rows=(
        Row(
            title="Synapses",
            panels=(
                Panel(
                    title="Synapses",
                    question="Does the memory grow, or forget as fast as it learns? Those that weigh more than a tenth of a fresh "
                    "co-activation, as of the last checkpoint.",
                    unit="short",
                    least=0.0,
                    queries=(Query(expr=at("engram_synapses"), legend="{{model}}"),),
                ),
                Panel(
                    title="Density",
                    question="Which share of all possible synapses is there? Near 1 everything is wired with everything.",
                    unit="percentunit",
                    least=0.0,
                    queries=(Query(expr=at("engram_synapse_density_ratio"), legend="{{model}}"),),
                ),
                Panel(
                    title="Weights",
                    question="Do a few synapses take all? Quantiles of their weights; 1 is a fresh co-activation.",
                    unit="short",
                    least=0.0,
                    queries=(Query(expr=at("engram_synapse_weight_quantile"), legend="{{model}} {{q}}"),),
                ),
                Panel(
                    title="Communities",
                    question="Into how many groups do the strongest neurons fall (Louvain)? Their films belong together.",
                    unit="short",
                    least=0.0,
                    queries=(Query(expr=at("engram_synapse_communities"), legend="{{model}}"),),
                ),
                Panel(
                    title="Modularity",
                    question="How clearly are these groups apart? 0: no more than by chance; above 0.3: clearly.",
                    unit="percentunit",
                    queries=(Query(expr=at("engram_synapse_modularity_ratio"), legend="{{model}}"),),
                ),
                Panel(
                    title="WiSARD saturation",
                    question="Which share of the RAM nodes' places is written? Near 1 nothing can be told apart any more.",
                    unit="percentunit",
                    least=0.0,
                    queries=(
                        Query(
                            expr=at("engram_wisard_saturation_ratio"),
                            legend="{{model}}",
                            may_be_empty=_WISARD_ONLY,
                        ),
                    ),
                ),
            ),
        ),
        Row(
            title="Neurons",
            panels=(
                Panel(
                    title="Known users and items",
                    question="How many have a row? Flat at max_users or max_items: the least recently active are evicted.",
                    unit="short",
                    least=0.0,
                    queries=(
                        Query(expr=f"sum({at('engram_known_users')})", legend="users"),
                        Query(expr=f"max({at('engram_known_items')})", legend="items"),
                        Query(expr=f"max({at('engram_catalogue_items')})", legend="items in the catalogue"),
                    ),
                ),
                Panel(
                    title="Evicted",
                    question="How many have to go? All the time: raise max_users or max_items, where memory allows.",
                    unit="ops",
                    least=0.0,
                    queries=(
                        Query(expr=f"sum({per_second('engram_evicted_users_total')})", legend="users"),
                        Query(expr=f"sum({per_second('engram_evicted_items_total')})", legend="items"),
                    ),
                ),
            ),
        ),
    ),
)
