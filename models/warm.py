"""Import it to read once what the first meter of each process forked from this one would read from files."""

from grid import grid
from processor import processor

grid()
processor().core_watts()
