"""What every other part stands on: errors, choices by name, spaces, optimizers, devices, memory, progress bars."""
