"""The tour: small networks, every way to keep a loss from moving a module, and what each way does, measured."""
