"""`python -m tests.fuzz --target ig --seconds 60`: coverage-guided fuzzing with atheris."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

SECONDS_PER_INPUT = 10
MEMORY_MB = 2048
# Modules whose branches guide the fuzzer; others run uninstrumented and fast.
INSTRUMENTED = ("data.sources", "data.access", "data.detector", "data.store", "data.store.checks")


def main() -> int:
    """Fuzz one target; exit with 1 at the first input that breaks it."""
    try:
        import atheris
    except ImportError:
        print("error: fuzzing needs atheris: pip install -e '.[fuzz]' (Linux and macOS)")
        return 2
    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        from tests.fuzz.targets import TARGETS, seeds

    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--target", choices=TARGETS, required=True)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, help="folder that keeps inputs of new coverage")
    arguments = parser.parse_args()
    corpus = arguments.corpus or Path(tempfile.mkdtemp(prefix="corpus-"))
    corpus.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(seeds(arguments.target)):
        (corpus / f"seed{number}").write_bytes(content)
    options = [
        f"-max_total_time={arguments.seconds}", f"-timeout={SECONDS_PER_INPUT}",
        f"-rss_limit_mb={MEMORY_MB}", "-max_len=200000", "-print_final_stats=1",
        f"-artifact_prefix={corpus}/",
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(corpus)], TARGETS[arguments.target])
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
