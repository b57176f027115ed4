"""Networks, one family per file, built from the data's shape; they import torch only."""
