"""Write particle lists: ``python -m data.simulation.generate gamma_jet --events 5000 --seed 3``."""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from data.simulation.generator import RECIPES, generate
from data.simulation.particles import files_of, write

SHIPPED = Path(__file__).parent / "particles"


def main(arguments: list[str] | None = None) -> Path:
    """Generate one file of particle lists and return its path."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("process", choices=sorted(RECIPES))
    parser.add_argument("--events", type=int, required=True, help="accepted events to write")
    parser.add_argument("--seed", type=int, required=True, help="Pythia seed, unique per file")
    parser.add_argument("--output", type=Path, default=SHIPPED, help="directory of list files")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    with tqdm(total=options.events, desc=options.process, unit="event") as bar:
        lists = generate(options.process, options.events, options.seed, bar.update)
    number = len(files_of(options.output, options.process))
    path = options.output / f"{options.process}_{number}.npz.xz"
    write(path, lists)
    print(f"{path}: {len(lists)} events, {path.stat().st_size / len(lists):.0f} bytes each")
    return path


if __name__ == "__main__":
    main()
