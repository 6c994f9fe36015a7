"""Many videos: which there are, who runs which, how pieces of long ones are joined, and what came out."""
