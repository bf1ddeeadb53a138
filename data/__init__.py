"""From files to the event store: readers, detector, reconstruction, selection, simulation."""
