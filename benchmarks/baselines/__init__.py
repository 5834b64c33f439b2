"""What a user would write without this package: the yardsticks of the benchmarks."""
