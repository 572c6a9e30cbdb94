"""The thirteen classes of NYU-v2 in alphabetical order, as the multi-task literature numbers them.

Finer names follow the published 40-to-13 mapping: a desk is a table; cabinets, shelves, beds' night stands and
refrigerators are furniture; curtains belong to the window, doors and skirting to the wall, rugs to the floor;
pillows, lamps, plants, vases and boxes are objects.
"""

from enum import IntEnum


class Label(IntEnum):
    """Class of a visible surface; the value is the id in the label map."""

    BED = 0
    BOOKS = 1
    CEILING = 2
    CHAIR = 3
    FLOOR = 4
    FURNITURE = 5
    OBJECTS = 6
    PICTURE = 7
    SOFA = 8
    TABLE = 9
    TV = 10
    WALL = 11
    WINDOW = 12


CLASSES = tuple(label.name.lower() for label in Label)
UNLABELLED = -1
