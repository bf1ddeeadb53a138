"""What Pythia 8 is told for each process, and which events of it are kept."""

from __future__ import annotations

from dataclasses import dataclass

from data.simulation import preselection

COMMON = ("Beams:eCM = 8000.", "Print:quiet = on", "Random:setSeed = on")
_NO_MPI = "PartonLevel:MPI = off"


@dataclass(frozen=True)
class Recipe:
    """How one process is generated: Pythia settings, and which steps follow."""

    settings: tuple[str, ...]
    rehadronise: bool = False
    preselect: bool = True
    keep_partons: bool = False
    electrons: bool = False  # of a resonance: they are the prompt particles
    min_mass: float = preselection.MIN_MASS  # of the preselection, GeV


RECIPES: dict[str, Recipe] = {
    "higgs": Recipe(
        (
            "HiggsSM:gg2H = on",
            "25:m0 = 125.",
            "25:onMode = off",
            "25:onIfMatch = 22 22",
            _NO_MPI,
        )
    ),
    "diphoton": Recipe(
        (
            "PromptPhoton:ffbar2gammagamma = on",
            "PromptPhoton:gg2gammagamma = on",
            "PhaseSpace:pTHatMin = 20.",
            "PhaseSpace:mHatMin = 80.",
            _NO_MPI,
        )
    ),
    "gamma_jet": Recipe(
        (
            "PromptPhoton:qg2qgamma = on",
            "PromptPhoton:qqbar2ggamma = on",
            "PhaseSpace:pTHatMin = 25.",
            "PhaseSpace:mHatMin = 80.",
            "HadronLevel:all = off",
            _NO_MPI,
        ),
        rehadronise=True,
    ),
    # The range of pTHat of QCD_Pt_80_170, the record of arXiv:1902.08276.
    "dijet": Recipe(
        (
            "HardQCD:all = on",
            "PhaseSpace:pTHatMin = 80.",
            "PhaseSpace:pTHatMax = 170.",
            _NO_MPI,
        ),
        preselect=False,
        keep_partons=True,
    ),
    # The whole of gamma*/Z with its natural width; photons radiated by the electrons are on.
    "zee": Recipe(
        (
            "WeakSingleBoson:ffbar2gmZ = on",
            "23:onMode = off",
            "23:onIfAny = 11",
            "PhaseSpace:mHatMin = 50.",
            "PhaseSpace:mHatMax = 150.",
            _NO_MPI,
        ),
        electrons=True,
    ),
    # What may lie under a resonance at the Z: photon and jet, or two photons, at lower masses.
    "continuum": Recipe(
        (
            "PromptPhoton:qg2qgamma = on",
            "PromptPhoton:qqbar2ggamma = on",
            "PromptPhoton:ffbar2gammagamma = on",
            "PromptPhoton:gg2gammagamma = on",
            "PhaseSpace:pTHatMin = 22.",
            "PhaseSpace:mHatMin = 50.",
            "HadronLevel:all = off",
            _NO_MPI,
        ),
        rehadronise=True,
        min_mass=54.0,
    ),
    "minimum_bias": Recipe(("SoftQCD:inelastic = on",), preselect=False),
}
