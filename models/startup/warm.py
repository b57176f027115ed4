"""Import it to read tables and measure the machine's peak once, for all processes forked from this one.

And to have what numpy imports late, at its first random number and its first `unique`: 9 MB in each process.
"""

import numpy.ma
import numpy.random  # noqa: F401
import torch

from models.measure.peak import peak_flops
from power.grid import grid
from power.processor import processor

grid()
processor().core_watts()
# A second thread would start a pool of threads, which no fork survives: then each trial measures for itself.
if torch.get_num_threads() == 1:
    peak_flops("cpu", torch.float32, 1)
