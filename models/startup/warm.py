"""Import it to read tables and measure the machine's peak once, for all processes forked from this one."""

import torch

from models.measure.peak import peak_flops
from power.grid import grid
from power.processor import processor

grid()
processor().core_watts()
# A second thread would start a pool of threads, which no fork survives: then each trial measures for itself.
if torch.get_num_threads() == 1:
    peak_flops("cpu", torch.float32, 1)
