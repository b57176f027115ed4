"""What happens around the steps, one Lightning callback per file. Imported by `training/fit.py`.

Lightning calls `on_train_batch_end` once per call of `training_step`, and one call takes many optimizer
steps. A callback that must act at certain steps says so with `next_stop(step) -> int | None`: the first
optimizer step after `step` at which it must be called. No call of `training_step` crosses that step. A
callback that overrides a batch hook without `next_stop` is called after every single step, and pays for that.
"""
