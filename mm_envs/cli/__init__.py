"""The command line: one small file per command.

The top layer: the only part of mm_envs that imports agents, feedback and benchmarks,
and only inside its commands. The modules that ``--help`` needs import nothing heavy.
"""
