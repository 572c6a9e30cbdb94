"""Where the runs of a study train: this machine, or a Dask cluster."""
