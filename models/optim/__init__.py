"""How weights move: schedules, groups of parameters, gradients, optimizers of our own. Imports torch only.

An option of a library that is slow to import (soap.py) imports it when it is used.
"""
