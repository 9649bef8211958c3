"""Seconds from the start of a process to its first ids, and to its first filled gaps: nothing compiled, and compiled.

    python benchmarks/first_use.py [--runs 5] [--json FILE]

Each process is new. "the first use ever" has an empty folder of compiled code (NUMBA_CACHE_DIR), "compiled" the one
that it left. By the clock, the start of Python and its imports included.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import time

from peers import OURS, python_of
from record import TOP, Report, add_json_option

TEXT = "los archivos que <extra_id_0> encuentran en el directorio ."
USES = {
    "the first ids": "import spanish_tok as st; print(st.Tokenizer.load().encode('¡Qué mañana tan FRÍA!'))",
    "the first gaps filled": f"import spanish_tok as st; print(st.Generator.load().generate({TEXT!r}))",
}


def timed(program: str, cache: str) -> tuple[float, str]:
    """Return seconds of a new process, and what it printed."""
    began = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(TOP), "NUMBA_CACHE_DIR": cache}
    done = subprocess.run(
        [python_of(OURS), "-c", program], check=True, capture_output=True, text=True, env=environment
    )
    return time.perf_counter() - began, done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    add_json_option(parser)
    arguments = parser.parse_args()
    report = Report("spanish-tok", "numba", "numpy")
    for use, program in USES.items():
        found: dict[str, list[float]] = {"the first use ever": [], "compiled": []}
        printed = set()
        for _ in range(arguments.runs):
            with tempfile.TemporaryDirectory() as cache:
                for seconds in found.values():
                    took, output = timed(program, cache)
                    seconds.append(took)
                    printed.add(output)
        assert len(printed) == 1, printed
        for column, seconds in found.items():
            report.add("seconds by the clock", use, column, seconds, "s")
            print(
                f"{use:<24}{column:<20}{statistics.median(seconds):>7.2f} s "
                f"({min(seconds):.2f} to {max(seconds):.2f})",
                flush=True,
            )
    report.save(arguments.json)


if __name__ == "__main__":
    main()
