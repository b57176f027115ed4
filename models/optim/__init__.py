"""How weights move: optimizers, schedules and groups, of torch only. Imported by training and above it.

An option of a library that is slow to import (soap.py) imports it when it is used.
"""
