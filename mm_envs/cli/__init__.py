"""The command line: one small file per command.

This is the roof of the project: the only place in mm_envs that looks up at agents, feedback and benchmarks,
and only inside its commands. The modules that ``--help`` needs import nothing heavy.
"""
