"""The board "Cost": time, memory and disk, by model and by process."""

from __future__ import annotations

from dashboards.panels import Board, Panel, Query, Row, at, per_second

_NO_GPU = "only where a trainer has a GPU"


def _gpu(title: str, question: str, unit: str, metric: str, of: str | None = None) -> Panel:
    """One panel of GPUs; of: what there is of it."""
    queries = [Query(expr=at(metric), legend="GPU {{gpu}}", may_be_empty=_NO_GPU)]
    if of is not None:
        queries.append(Query(expr=at(of), legend="GPU {{gpu}} has", may_be_empty=_NO_GPU))
    return Panel(title=title, question=question, unit=unit, least=0.0, queries=tuple(queries))


COST = Board(
    uid="engram-cost",
    title="Engram: cost",
    question="What an event costs, what it costs for which model, and what grows.",
    rows=(
        Row(
            title="Time",
            panels=(
                Panel(
                    title="Time an event, by model",
                    question="Which model takes how long to rank and learn an event?",
                    unit="s",
                    least=0.0,
                    stacked=True,
                    queries=(
                        Query(
                            expr=f"sum by (model) ({per_second('engram_model_kernel_seconds_total')}) / on () group_left () "
                            f"(sum({per_second('engram_events_learned_total')}) > 0)",
                            legend="{{model}}",
                        ),
                    ),
                ),
                Panel(
                    title="Share of the learner's time in kernels",
                    question="Is the learner busy with learning? Low at full load: the log or publishing is the bottleneck.",
                    unit="percentunit",
                    least=0.0,
                    stacked=True,
                    queries=(
                        Query(
                            expr=f"sum by (model) ({per_second('engram_model_kernel_seconds_total')})",
                            legend="{{model}}",
                        ),
                    ),
                ),
                Panel(
                    title="Processor time",
                    question="How many cores does a process use? The learner's loop is one thread.",
                    unit="short",
                    least=0.0,
                    queries=(
                        Query(
                            expr=per_second("process_cpu_seconds_total"),
                            legend="{{job}} {{instance}} {{process}}",
                        ),
                    ),
                ),
                Panel(
                    title="Events a second and core",
                    question="What does a core yield? Compare runs by this, not by events a second.",
                    unit="ops",
                    least=0.0,
                    queries=(
                        Query(
                            expr=f"sum by (instance) ({per_second('engram_events_learned_total')}) / on (instance) "
                            f"sum by (instance) ({per_second('process_cpu_seconds_total')})",
                            legend="{{instance}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            title="Memory and disk",
            panels=(
                Panel(
                    title="State by model",
                    question="Which model's state is how large, and does it still grow?",
                    unit="bytes",
                    least=0.0,
                    stacked=True,
                    queries=(
                        Query(expr=f"sum by (model) ({at('engram_model_state_bytes')})", legend="{{model}}"),
                    ),
                ),
                Panel(
                    title="Resident memory",
                    question="Does a process grow without end? Its state is bounded by max_users and max_items.",
                    unit="bytes",
                    least=0.0,
                    queries=(
                        Query(
                            expr=at("process_resident_memory_bytes"),
                            legend="{{job}} {{instance}} {{process}}",
                        ),
                    ),
                ),
                Panel(
                    title="Size of a checkpoint",
                    question="How much does a checkpoint take on the disk? Three are kept.",
                    unit="bytes",
                    least=0.0,
                    queries=(Query(expr=at("engram_checkpoint_bytes"), legend="{{instance}}"),),
                ),
                Panel(
                    title="State a known user",
                    question="What does one more user cost? All models together.",
                    unit="bytes",
                    least=0.0,
                    queries=(
                        Query(
                            expr=f"sum({at('engram_model_state_bytes')}) / clamp_min(sum({at('engram_known_users')}), 1)",
                            legend="bytes a user",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            title="GPUs",
            panels=(
                _gpu(
                    "GPU in use",
                    "Does training use the GPU? Low while it trains: batches are small, or the processor cannot keep up.",
                    "percentunit",
                    "engram_gpu_utilization_ratio",
                ),
                _gpu(
                    "Memory of the GPU",
                    "Would a larger batch or model fit? Of all processes on it.",
                    "bytes",
                    "engram_gpu_memory_bytes",
                    "engram_gpu_memory_size_bytes",
                ),
                _gpu(
                    "Power of the GPU",
                    "What does retraining cost in energy?",
                    "watt",
                    "engram_gpu_power_watts",
                ),
                _gpu(
                    "Temperature of the GPU",
                    "Is it about to be throttled?",
                    "celsius",
                    "engram_gpu_temperature_celsius",
                ),
            ),
        ),
    ),
)
