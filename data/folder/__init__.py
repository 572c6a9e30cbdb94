"""The data sets `folder` and `shards`: a user's own images, described by a dataset.toml."""
