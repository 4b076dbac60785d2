"""The same update, and the same actor, as one compiled graph.

Used from outside: `agent.CompiledUpdate`, which may raise
`recording.RecordingError` and `compilation.CompilationError`; `recording.state_tensors`.
"""
