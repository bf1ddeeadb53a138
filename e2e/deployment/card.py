"""The model card of a classifier: what it is, what made it, how good it is, what it is not for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.files import atomic_path
from common.runs import git_revision, versions
from common.settings import plain
from e2e.evaluation.scores import PAIR_TITLES, PAIRS
from e2e.evaluation.tables import MODEL_TITLES
from e2e.labels import CLASS_TITLES
from e2e.training.checkpoint import Classifier

_MEANINGS = {
    "crops": "(B, 2, 3, S, S): for each photon tracks, ECAL and HCAL in crystals, rows along η, "
    "columns along φ, energies in GeV",
    "context": "(B, 2, 3, N, N): the same channels over a wider region, several crystals a bin",
    "kinematics": "(B, 5): pt1/m, η1, pt2/m, η2, cos Δφ; NaN without a pair",
    "tabular": "(B, F): shower shapes and isolation, `e2e.inputs.tabular.feature_names()`",
    "hits": "(B, 2, 1, S, S): ECAL hits in GeV, for the crystals' shares; not for the scores",
}
_LIMITS = """\
* Trained and measured on **simulated** events alone: Pythia 8 through this project's parametric
  detector, not CMSSW. On real data the figures below do not hold; see `docs/trust.md`.
* Three classes only. Multijet events, electrons, cosmic rays and noise are no class of it.
* Scores assume equal numbers of the three classes; they are no probabilities in data.
* Barrel photons with a 5x5 cluster, selected as in `docs/event_store.md`; other selections are
  untested. Events without a pair of photons have no score.
* Made for studies with CMS Open Data and for teaching; not for results of the collaboration, nor
  where a decision depends on single events.
"""


def write_card(
    path: Path,
    classifier: Classifier,
    metrics: Mapping[str, Any],
    exported: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Write a model card in Markdown, atomically.

    Parameters
    ----------
    path
        File to write.
    classifier
        As read from its file.
    metrics
        `metrics.json` of the classify run that made it; empty where it is not at hand.
    exported
        By format, the largest difference from the classifier and the time per event.
    """
    sections = {
        f"Model card: {classifier.network.__class__.__name__}": _summary(classifier),
        "Inputs": _inputs(classifier),
        "Training": _training(classifier),
        "Measured on held-out events": _merit(metrics),
        "Controls": _controls(metrics),
        "Limits and intended use": _LIMITS,
    }
    if exported:
        sections["Exported files"] = _exported(exported)
    text = "\n".join(
        f"{'#' if i == 0 else '##'} {title}\n\n{body.strip()}\n"
        for i, (title, body) in enumerate(sections.items())
    )
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _summary(classifier: Classifier) -> str:
    parameters = sum(p.numel() for p in classifier.network.parameters())
    names = zip(classifier.class_names, CLASS_TITLES, strict=False)
    classes = ", ".join(f"{index} {name} ({title})" for index, (name, title) in enumerate(names))
    return f"""
Tells diphoton events apart. Logits, in order: {classes}. {parameters:,} parameters.

| | |
| --- | --- |
| file's SHA-256 | `{classifier.sha256 or "in memory"}` |
| source revision of this card | `{git_revision()}` |
| versions | {", ".join(f"{name} {version}" for name, version in versions().items())} |

```python
from e2e.training.checkpoint import load_classifier

classifier = load_classifier("classifier.pt")  # .network, .inputs, .class_names, .provenance
```
"""


def _inputs(classifier: Classifier) -> str:
    lines = [
        f"* `{name}`: {_MEANINGS.get(name, 'an image of the whole detector, `e2e.inputs.full`')}"
        for name in classifier.network.needs
    ]
    config = classifier.inputs
    scaled = {
        "photon": f"multiplied by {config.reference_mass / 2:g} GeV over its photon's pt",
        "mass": f"multiplied by {config.reference_mass:g} GeV over m_gg",
        "none": "left as they are, which tells the network the mass",
    }[config.scale]
    return (
        "\n".join(lines) + f"\n\nHits are {scaled}, *then* what lies below {config.ecal_cut:g} GeV "
        f"(ECAL), {config.track_cut:g} GeV (tracks) or {config.hcal_cut:g} GeV (HCAL towers) is "
        "zeroed. The logarithm of energies and the normalisation of tables are inside the network. "
        f"Complete settings:\n\n```json\n{json.dumps(plain(config))}\n```\n"
    )


def _training(classifier: Classifier) -> str:
    provenance = classifier.provenance
    rows = "\n".join(
        f"| {name} | {_cell(value)} |" for name, value in provenance.items() if name != "training"
    )
    settings = json.dumps(provenance.get("training", {}))
    return (
        "Simulated events of the event store whose checksum follows; the split is a hash of the "
        "parton event, and the fold given here was held out.\n\n"
        f"| | |\n| --- | --- |\n{rows}\n\n```json\n{settings}\n```\n"
    )


def _merit(metrics: Mapping[str, Any]) -> str:
    if "auc" not in metrics:
        return "Not known: the metrics of the run that made it are not beside the checkpoint."
    lines = [
        "| AUC | " + " | ".join(PAIR_TITLES[p] for p in PAIRS) + " |",
        "| --- |" + " ---: |" * len(PAIRS),
    ]
    for model, table in metrics["auc"].items():
        cells = (_value(table["as_generated"][p]) for p in PAIRS)
        lines.append(f"| {MODEL_TITLES.get(model, model)} | {' | '.join(cells)} |")
    events = metrics["events"]["held_out"]
    counts = ", ".join(f"{count} {name}" for name, count in events.items())
    return (
        "\n".join(lines)
        + f"\n\nThis card is that of *{MODEL_TITLES['network']}*; the others are its peers on the "
        f"same held-out events ({counts}). Errors from a bootstrap over parton events."
    )


def _controls(metrics: Mapping[str, Any]) -> str:
    if "shuffled_labels" not in metrics:
        return "Not known."
    shuffled = metrics["shuffled_labels"]["network"]
    blind = metrics["mass_blindness"]
    pairs = ", ".join(f"{PAIR_TITLES[p]} {_value(shuffled[p])}" for p in PAIRS)
    permutations = len(shuffled[next(iter(PAIRS))]["single"])
    return (
        f"* Trained on shuffled labels its AUC is {pairs} (mean and its error over {permutations} "
        "permutations); 0.5 where nothing leaks.\n"
        f"* Mass-blindness: a boosted tree on low-energy hits tells H→γγ from γγ with an AUC of "
        f"{_value(blind['blind'])} from the network's inputs, {_value(blind['raw'])} from raw "
        f"energies; difference {_value(blind['blind_minus_raw'])}."
    )


def _exported(exported: Mapping[str, Mapping[str, Any]]) -> str:
    rows = "\n".join(
        f"| {name} | {row['largest_difference']:.1e} | {row['ms_per_event']:.2f} |"
        for name, row in exported.items()
    )
    return (
        "| format | largest difference from the network | ms per event |\n"
        f"| --- | ---: | ---: |\n{rows}"
    )


def _value(estimate: Mapping[str, float]) -> str:
    return f"{estimate['value']:.3f} ± {estimate['error']:.3f}"


def _cell(value: Any) -> str:
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"
