"""Where to prompt: the typed prompt of one instance, and the selectors that make it from a visible mask."""
