"""What finished networks run on, one a file. Named by `conf/backend`; compressions hand networks to it."""
