"""How much faster many processes train, by a model: what a step computes, and what it sends.

    python benches/scaling.py --row 0.19 --fixed 4 --parameters 2.9e6 --bandwidth 12.5 --latency 2
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from suite import processes


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])

    def add(option, default, meaning, **how):
        parser.add_argument(option, type=float, default=default, help=f"{meaning} ({default})",
                            **how)

    add("--row", 0.19, "milliseconds of a sample on one process")
    add("--fixed", 4.0, "milliseconds of a step whatever its samples, as the optimizer's pass")
    add("--parameters", 2.9e6, "of the network, float32")
    add("--batch", 256, "samples of a step: of all processes together, and of each")
    add("--bandwidth", 12.5, "gigabytes a second that a process sends")
    add("--latency", 2.0, "microseconds of a message")
    options = parser.parse_args(arguments)
    for name, value in vars(options).items():
        if not value >= 0 or (not value and name in ("row", "batch", "bandwidth")):
            parser.error(f"--{name} must be above 0, not {value}")
    network = {"efficiency": (1e9 * options.bandwidth, 1e-6 * options.latency)}
    print(processes.table(int(options.batch), 1e-3 * options.row, 1e-3 * options.fixed,
                          4 * options.parameters, network))


if __name__ == "__main__":
    main()
