"""How weights move: schedules, groups of parameters, gradients, optimizers of our own. Imports torch only."""
