"""From three-class outputs to what is quoted: pairwise scores, and AUCs per pair of classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from common.metrics import auc
from e2e.labels import DIPHOTON, GAMMA_JET, HIGGS

FloatArray = NDArray[np.float64]

# Name of a pair: (signal class, background class).
PAIRS: dict[str, tuple[int, int]] = {
    "higgs_diphoton": (HIGGS, DIPHOTON),
    "higgs_gamma_jet": (HIGGS, GAMMA_JET),
    "diphoton_gamma_jet": (DIPHOTON, GAMMA_JET),
}
PAIR_TITLES = {
    "higgs_diphoton": "H/γγ",
    "higgs_gamma_jet": "H/γj",
    "diphoton_gamma_jet": "γγ/γj",
}


def softmax(logits: ArrayLike) -> FloatArray:
    """(N, 3) probabilities."""
    shifted = np.asarray(logits, dtype=np.float64)
    shifted = np.exp(shifted - shifted.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def pair_score(logits: ArrayLike, pair: str) -> FloatArray:
    """(N,) p_signal / (p_signal + p_background), from logits or log probabilities."""
    return binary_score(logits, *PAIRS[pair])


def binary_score(logits: ArrayLike, signal: int, background: int) -> FloatArray:
    """(N,) p_signal / (p_signal + p_background) of two classes."""
    logits = np.asarray(logits, dtype=np.float64)
    return 1 / (1 + np.exp(logits[:, background] - logits[:, signal]))


def higgs_score(logits: ArrayLike) -> FloatArray:
    """(N,) probability of the Higgs class against both others."""
    return softmax(logits)[:, HIGGS]


def pair_auc(logits: ArrayLike, label: NDArray[np.integer], pair: str) -> float:
    """AUC of one pair of classes."""
    signal, background = PAIRS[pair]
    used = (label == signal) | (label == background)
    return auc(pair_score(np.asarray(logits)[used], pair), label[used] == signal)


def pair_aucs(logits: ArrayLike, label: NDArray[np.integer]) -> dict[str, float]:
    """AUC of every pair of classes."""
    return {pair: pair_auc(logits, label, pair) for pair in PAIRS}
