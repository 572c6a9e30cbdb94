"""Reading of data sets on disk: files, tables, pictures, the cache."""
