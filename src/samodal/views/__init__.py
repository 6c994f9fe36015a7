"""Results to look at and to work with in Python: frames, tracks and whole runs."""
