"""Generated events at 8 TeV with Pythia 8 (optional extra ``generator``).

Multiparton interactions are off in every hard process; the detector simulation overlays two
minimum-bias events at the hard vertex instead, alike in all classes.  A jet that fakes a photon
is rare, so photon + jet events are vetoed at process level outside the barrel, prescreened at
parton level and hadronised several times; all hadronisations that pass are kept and share a
group id.  Parton events that already hold two photons are kept at most once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from data.kinematics import diphoton_mass
from data.simulation import preselection
from data.simulation.event_record import (
    PROMPT_PT,
    GeneratedEvent,
    columns_of,
    count_prompt,
    decay_electrons,
    final_particles,
    hard_partons,
    pack,
)
from data.simulation.particles import MAX_ETA, ParticleLists
from data.simulation.recipes import COMMON, RECIPES, Recipe

REHADRONISATIONS = 10
PROCESS_VETO_ETA = 2.0
PARTON_PT, PARTON_ETA, PARTON_MASS_MARGIN = 22.0, 1.55, 3.0
JET_ETA = 1.8  # one of a dijet's partons at least has to be inside


def import_pythia() -> Any:
    """The pythia8mc module.

    Raises
    ------
    ImportError
        with the remedy, when the optional extra is not installed.
    """
    try:
        import pythia8mc
    except ImportError as problem:
        raise ImportError(
            "generating events needs Pythia 8: pip install --only-binary :all: "
            "'pythia8mc==8.317.2' (the shipped particle lists need no generator)"
        ) from problem
    return pythia8mc


def start(recipe: Recipe, seed: int) -> Any:
    """An initialised Pythia instance; every setting is checked (typos return False silently)."""
    p8 = import_pythia()
    pythia = p8.Pythia("", False)
    for setting in (*COMMON, f"Random:seed = {seed}", *recipe.settings):
        if not pythia.readString(setting):
            raise ValueError(f"Pythia does not know the setting '{setting}'")
    if recipe.rehadronise:
        pythia.setUserHooksPtr(_keep_alive(pythia, _central_hook(p8)))
    if not pythia.init():
        raise RuntimeError("Pythia failed to initialise")
    return pythia


def _central_hook(p8: Any) -> Any:
    """Veto of 2 -> 2 scatterings with an outgoing leg outside the barrel, before the shower."""

    class CentralOnly(p8.UserHooks):
        def canVetoProcessLevel(self) -> bool:
            return True

        def doVetoProcessLevel(self, process: Any) -> bool:
            return any(abs(process[i].eta()) > PROCESS_VETO_ETA for i in (5, 6))

    return CentralOnly()


def _keep_alive(pythia: Any, hook: Any) -> Any:
    # the C++ side holds no reference to the Python half of the hook
    _HOOKS.append((pythia, hook))
    return hook


_HOOKS: list[tuple[Any, Any]] = []


def _accepted(particles: np.ndarray, min_mass: float) -> bool:
    central = particles[np.abs(particles[:, 2]) < 1.8]
    found = preselection.candidates(
        central[:, 0].astype(np.uint8), central[:, 1], central[:, 2], central[:, 3]
    )
    return preselection.passes(found, min_mass)


def _parton_prescreen(event: Any, min_mass: float) -> bool:
    """A photon and a parton (or second photon) in the barrel at high enough mass."""
    hard = [
        (q.id(), np.array([q.pT(), q.eta(), q.phi()]))
        for q in event
        if q.isFinal() and q.pT() > PARTON_PT and abs(q.eta()) < PARTON_ETA
    ]
    photons = [p for pdg, p in hard if pdg == 22]
    pairs = ((a, b) for a in photons for _, b in hard if b is not a)
    least = min_mass + PARTON_MASS_MARGIN
    return any(diphoton_mass(*np.stack([a, b]).T) > least for a, b in pairs)


def _plain_events(pythia: Any, recipe: Recipe, tally: dict[str, int]) -> Iterator[GeneratedEvent]:
    while True:
        if not pythia.next():
            continue
        tally["tried"] += 1
        particles = final_particles(pythia.event)
        if not recipe.preselect or _accepted(particles, recipe.min_mass):
            yield GeneratedEvent(particles, tally["tried"], count_prompt(particles))


def _dijet_events(pythia: Any, tally: dict[str, int]) -> Iterator[GeneratedEvent]:
    while True:
        if not pythia.next():
            continue
        tally["tried"] += 1
        partons = hard_partons(pythia.event)
        if np.abs(partons[:, 2]).min() < JET_ETA:
            particles = final_particles(pythia.event)
            yield GeneratedEvent(particles, tally["tried"], count_prompt(particles), partons)


def _electron_events(pythia: Any, tally: dict[str, int]) -> Iterator[GeneratedEvent]:
    """Events whose two electrons, after they radiated photons, are in the barrel and hard."""
    while True:
        if not pythia.next():
            continue
        tally["tried"] += 1
        event = pythia.event
        born = decay_electrons(event)
        bare = [event[index].iBotCopyId() for index in born]
        if not preselection.electrons_pass([(event[i].pT(), event[i].eta()) for i in bare]):
            continue
        particles = final_particles(event)
        n_prompt = count_prompt(particles)
        particles = final_particles(event, prompt=bare)
        yield GeneratedEvent(particles, tally["tried"], n_prompt, columns_of(event, born))


def _rehadronised_events(
    pythia: Any, min_mass: float, tally: dict[str, int]
) -> Iterator[GeneratedEvent]:
    event_class = import_pythia().Event
    while True:
        if not pythia.next():
            continue
        tally["partons"] += 1
        if not _parton_prescreen(pythia.event, min_mass):
            continue
        parton_event = event_class(pythia.event)
        n_prompt = sum(
            q.isFinal() and q.id() == 22 and q.pT() > PROMPT_PT and abs(q.eta()) < MAX_ETA
            for q in parton_event
        )
        for repetition in range(REHADRONISATIONS if n_prompt < 2 else 1):
            if repetition:
                pythia.event.assign(parton_event)
            if not pythia.forceHadronLevel():
                continue
            tally["tried"] += 1
            particles = final_particles(pythia.event)
            if _accepted(particles, min_mass):
                yield GeneratedEvent(particles, tally["partons"], n_prompt)


def settings_of(process: str) -> list[str]:
    """Pythia's settings of a process, as they are kept with its lists; without the seed."""
    return [*COMMON, *RECIPES[process].settings]


def generate(
    process: str, n_events: int, seed: int, tick: Callable[[], object] | None = None
) -> ParticleLists:
    """Generate ``n_events`` particle lists of a process of :data:`RECIPES`.

    Parameters
    ----------
    process : a name of :data:`RECIPES`
    n_events : number of accepted events
    seed : Pythia's seed, 1 to 900 000 000
    tick : called after every accepted event (progress)
    """
    recipe = RECIPES[process]
    pythia = start(recipe, seed)
    tally = {"tried": 0, "partons": 0}
    if recipe.rehadronise:
        source = _rehadronised_events(pythia, recipe.min_mass, tally)
    elif recipe.keep_partons:
        source = _dijet_events(pythia, tally)
    elif recipe.electrons:
        source = _electron_events(pythia, tally)
    else:
        source = _plain_events(pythia, recipe, tally)
    events: list[GeneratedEvent] = []
    while len(events) < n_events:
        events.append(next(source))
        if tick:
            tick()
    lists = pack(events)
    lists.info = {
        "process": process,
        "generator": f"Pythia {pythia.settings.parm('Pythia:versionNumber'):.3f}",
        "settings": settings_of(process),
        "seed": seed,
        "rehadronisations": REHADRONISATIONS if recipe.rehadronise else 1,
        "accepted": n_events,
        **tally,
        "cross_section_mb": float(pythia.infoPython().sigmaGen()),
    }
    return lists
