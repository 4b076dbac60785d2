"""Writes down, at the end of any Python program, the weights that its optimizers held.

Python imports this before a program where its folder is on PYTHONPATH. Nothing happens unless FINAL_WEIGHTS names a
folder: there each process that made an optimizer leaves one file, with a hash of every parameter that an optimizer was
given, in that order. The parameters are kept alive till then, the modules and the optimizers are not. A process that
ends by os._exit leaves nothing.
"""

import atexit
import functools
import hashlib
import importlib.abc
import importlib.util
import json
import os
import sys
import tempfile

held = []


def hashed(tensor):
    import torch

    data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return f"{tuple(tensor.shape)} {tensor.dtype} {hashlib.sha256(data.numpy().tobytes()).hexdigest()[:16]}"


def write(folder):
    each = {id(parameter): parameter for parameter in held}.values()
    if each:
        descriptor, _ = tempfile.mkstemp(".json", dir=folder)
        with os.fdopen(descriptor, "w") as file:
            json.dump([hashed(parameter) for parameter in each], file)


class Loader(importlib.abc.Loader):
    """Loads torch.optim.optimizer as its own loader does, and has optimizers tell what they are given."""

    def __init__(self, loader):
        self.loader = loader

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        self.loader.exec_module(module)
        theirs = module.Optimizer.add_param_group

        @functools.wraps(theirs)
        def add_param_group(self, param_group):
            theirs(self, param_group)
            held.extend(self.param_groups[-1]["params"])

        module.Optimizer.add_param_group = add_param_group

    def __getattr__(self, name):
        return getattr(self.loader, name)


class Finder(importlib.abc.MetaPathFinder):
    """Finds torch.optim.optimizer, once."""

    def find_spec(self, name, path=None, target=None):
        if name != "torch.optim.optimizer":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = Loader(spec.loader)
        return spec


if os.environ.get("FINAL_WEIGHTS"):
    sys.meta_path.insert(0, Finder())
    atexit.register(write, os.environ["FINAL_WEIGHTS"])
