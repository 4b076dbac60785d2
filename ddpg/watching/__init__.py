"""What is seen of a policy, and what is taken along.

Used from outside: `video.has_display`, `video.renderable`, `video.gif`, `video.mp4`; `landscape.drawable` and
`landscape.landscape`, values and actions over the state space; `exporting.export`.
"""
