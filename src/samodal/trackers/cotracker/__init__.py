"""CoTracker3: whole videos with `CoTracker3`, frame by frame with `CoTrackerOnline`."""

from samodal.trackers.cotracker.online import CoTrackerOnline
from samodal.trackers.cotracker.tracker import CoTracker3, PointTracks

__all__ = ["CoTracker3", "CoTrackerOnline", "PointTracks"]
