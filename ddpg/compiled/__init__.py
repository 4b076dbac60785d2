"""The same update as one compiled graph, and with it what the updated actor says next.

Used from outside: `agent.CompiledUpdate`, which may raise `recording.RecordingError` and
`compilation.CompilationError`; `recording.state_tensors`.
"""
