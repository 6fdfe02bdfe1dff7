"""`make test-faults`: every fault on the embedded log and on real Kafka, and the table.

    python -m tests.faults.campaign --log embedded --tries 60 --results FILE [--only TEXT] [--table FILE]

Tries are added to the results file; what is there already is not tried again.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path

from chaos.campaign import Campaign, is_green, read_lines, table
from tests.faults.registry import ALL
from tests.kafka_ladder import kafka_broker


def main() -> int:
    """Try, print, and write the table; 1 when something did not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--log", choices=("embedded", "kafka", "none"), nargs="+", default=["embedded", "kafka"]
    )
    parser.add_argument("--tries", type=int, default=60, help="of each fault on the embedded log")
    parser.add_argument("--kafka-tries", type=int, default=12, help="of each fault on Kafka")
    parser.add_argument("--patience", type=float, default=1.0, help="times the time that a try may take")
    parser.add_argument("--only", default="", help="faults whose names have this in them")
    parser.add_argument("--results", type=Path, default=Path("runs/faults.jsonl"))
    parser.add_argument("--table", type=Path, help="write the table there too")
    args = parser.parse_args()
    faults = [fault for fault in ALL if args.only in fault.name]
    with contextlib.ExitStack() as stack:
        for kind in args.log:
            if kind == "none":
                continue
            spec = kind
            if kind == "kafka":
                shared = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                spec = f"kafka:{stack.enter_context(kafka_broker(shared))}"
            campaign = Campaign(
                spec, args.results, module="tests.faults.trainer_victim", patience=args.patience
            )
            stack.callback(campaign.close)
            campaign.run(
                faults,
                args.tries if kind == "embedded" else args.kafka_tries,
                lambda text: print(text, flush=True),
            )
    lines = read_lines(args.results)
    print(table(lines))
    if args.table:
        args.table.write_text(table(lines) + "\n")
    return 0 if is_green(lines) else 1


if __name__ == "__main__":
    sys.exit(main())
