"""The store's events: predicted mass resolutions of pairs, and several hypotheses per event."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.store import EventStore
from e2e.labels import DIPHOTON, GAMMA_JET, HIGGS, Labels
from e2e.low_level.held_out import held_out
from e2e.training.checkpoint import load_classifier
from envs.photons.table import PhotonTable
from rl.evaluation.pairs import Floats, Pairs, corrected
from rl.uncertainty.config import UncertaintyConfig
from rl.uncertainty.evaluation import Calibration, HypothesisStudy
from rl.uncertainty.masses import MassEvents
from rl.uncertainty.models import Models, observations
from rl.uncertainty.products import HYPOTHESES, write_product

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class RefinedEvents:
    """Pairs of a store with their refined photons.

    Attributes
    ----------
    table
        Photons, with the refined result in the column `regression`.
    pairs
        m pairs.
    sigma
        Method to (n,) predicted deviation of log energy of each photon.
    labels
        Classes of the store's N events.
    unseen
        (N,) events that the classifier was not trained on.
    """

    table: PhotonTable
    pairs: Pairs
    sigma: dict[str, Floats]
    labels: Labels
    unseen: BoolArray

    @classmethod
    def of(
        cls,
        table: PhotonTable,
        vertex_z: Floats,
        models: Models,
        calibrated: Calibration,
        config: UncertaintyConfig,
    ) -> RefinedEvents:
        """Predict every photon's deviation; of Gaussians whose mean is right on calibration."""
        sigma = {
            name: np.sqrt(np.pi / 2) * calibrated.scale[name] * expected
            for name, expected in models.predict(table).items()
        }
        with EventStore(config.store) as store:
            labels = Labels.read(store)
        return cls(table, Pairs.of(table, vertex_z), sigma, labels, unseen(labels, config))

    @property
    def masses(self) -> Floats:
        """(m,) refined masses, GeV."""
        assert self.table.regression is not None
        return self.pairs.masses(self.table.regression)

    def mass_resolution(self, method: str) -> Floats:
        """(m,) sigma_m / m from both photons' energies; directions are far better known."""
        first, second = (self.sigma[method][k] for k in (self.pairs.first, self.pairs.second))
        return 0.5 * np.hypot(first, second)

    def eta(self) -> Floats:
        """(n,) pseudorapidity of refined photons seen from the vertex."""
        assert self.table.regression is not None
        return corrected(self.table, self.table.regression, self.pairs.vertex_z).eta

    def mass_events(self, config: UncertaintyConfig) -> MassEvents:
        """Pairs that the classifier did not see, weighted to the expected yields."""
        pairs, labels = self.pairs, self.labels
        used = self.unseen[pairs.row] & ~labels.overlap[pairs.row]
        weight = expected_events(labels, used, pairs, config)
        r9, eta = self.table.r9.astype(np.float64), np.abs(self.eta())
        rows = np.flatnonzero(used)
        first, second = pairs.first[rows], pairs.second[rows]
        return MassEvents(
            mass=self.masses[rows],
            true_mass=pairs.true_masses()[rows],
            label=pairs.label[rows],
            group=pairs.group[rows],
            weight=weight[rows],
            r9=np.minimum(r9[first], r9[second]),
            abs_eta=np.maximum(eta[first], eta[second]),
            resolution={name: self.mass_resolution(name)[rows] for name in self.sigma},
        )


def unseen(labels: Labels, config: UncertaintyConfig) -> BoolArray:
    """(N,) events whose parton event the classifier was not trained on."""
    classifier = load_classifier(config.classifier)
    found = held_out(classifier, labels.group, config.classifier)
    if config.classifier_store is not None:
        with EventStore(config.classifier_store) as store:
            found |= ~np.isin(labels.group, store.event("group"))
    return found


def expected_events(
    labels: Labels, used: BoolArray, pairs: Pairs, config: UncertaintyConfig
) -> Floats:
    """(m,) weights that give each class of the used pairs its expected yield."""
    yields = {
        DIPHOTON: config.diphoton_yield,
        HIGGS: config.higgs_yield,
        GAMMA_JET: config.gamma_jet_yield,
    }
    weight = labels.weight[pairs.row].astype(np.float64) * used
    for label, expected in yields.items():
        here = pairs.label == label
        weight[here] *= expected / max(weight[here].sum(), 1.0)
    return weight


def write_hypotheses(
    path: Path,
    events: RefinedEvents,
    study: HypothesisStudy,
    config: UncertaintyConfig,
    attributes: dict[str, str | int | float | bool],
) -> None:
    """Several results for each of the first pairs, with predicted uncertainty."""
    pairs = events.pairs
    chosen = np.arange(min(config.hypotheses.events, len(pairs)))
    index = np.stack([pairs.first[chosen], pairs.second[chosen]], axis=1)  # (E, 2)
    table = events.table.take(index.ravel())
    assert table.regression is not None
    change = study.noisy(table, config.seed)  # (R, 2E)
    seen = observations(study.models.dynamics(table))
    excess = np.stack([study.critic.excess(seen, hypothesis) for hypothesis in change])
    masses = []
    everything = events.table.regression
    assert everything is not None
    for hypothesis in change:
        correction = everything.copy()
        correction[index.ravel(), 0] += hypothesis.astype(np.float32)
        masses.append(pairs.masses(correction)[chosen])

    def by_event(values: NDArray[Any]) -> NDArray[np.float32]:
        return np.moveaxis(values.reshape(len(values), len(chosen), 2), 0, 2).astype(np.float32)

    columns: dict[str, NDArray[Any]] = {
        "event/row": pairs.row[chosen],
        "event/label": pairs.label[chosen],
        "refined": table.regression[:, 0].reshape(-1, 2),
        "sigma": events.sigma["critic_refitted"][index].astype(np.float32),
        "sigma_m": events.mass_resolution("critic_refitted")[chosen].astype(np.float32),
        "m_gg": events.masses[chosen].astype(np.float32),
        "hypotheses/change": by_event(change),
        "hypotheses/excess": by_event(excess),
        "hypotheses/m_gg": np.stack(masses, axis=1).astype(np.float32),
        **{
            f"hypotheses/in_set_{100 * level:.0f}": by_event(excess <= threshold).astype(np.int8)
            for level, threshold in study.thresholds.items()
        },
    }
    thresholds = {f"threshold_{100 * k:.0f}": v for k, v in study.thresholds.items()}
    write_product(path, HYPOTHESES, columns, {**attributes, **thresholds})
