"""Training of the completer: masks alone, from data sets with amodal masks and from pasted silhouettes."""
