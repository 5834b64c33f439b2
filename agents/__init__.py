"""What learns: encoders, fusion, the Stable-Baselines3 bridge and evaluation."""
