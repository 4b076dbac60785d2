"""The training loop: from `settings` to a run's result, and from a run's folder on again.

Used from outside: `train_function.train`; `callbacks`; `settings.Settings`; `loop.Training` and `loop.check_run`;
`resume`; `run_folder`; `evaluation.evaluate`; `run.DivergedError` and `run.RESULT_NAME`;
`stopping.Stopped`.
"""
