"""The engine: tasks as Gymnasium environments, single and vector."""
