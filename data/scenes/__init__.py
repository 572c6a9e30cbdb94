"""The data set `scenes`: rooms drawn from a seed."""
