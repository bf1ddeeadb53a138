"""The standard reconstruction: seeded 5x5 photon clusters from sparse barrel hits."""

from data.reconstruction.clustering import Clusters, find_photons

__all__ = ["Clusters", "find_photons"]
