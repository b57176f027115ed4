"""Networks, one family per file, of torch only. Imported by compress and measure; a config names them."""
