"""An override read, and composed with `conf/` as Hydra does it in half a millisecond; all above import it."""
