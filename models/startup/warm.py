"""Import it to pay once what each process forked from this one would: tables, and the machine's peak."""

import torch

from models.measure.peak import peak_flops
from power.grid import grid
from power.processor import processor

grid()
processor().core_watts()
# A second thread would start a pool of threads, which no fork survives: then each trial measures for itself.
if torch.get_num_threads() == 1:
    peak_flops("cpu", torch.float32, 1)
