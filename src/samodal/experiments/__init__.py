"""The paper's tables and figures as experiments: a YAML file each, run, scored and reported alike."""
