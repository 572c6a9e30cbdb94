"""The data set `fashion`: pairs of photographs of clothes."""
