"""The same as the module train."""

from .train import main

main()
