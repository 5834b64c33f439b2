"""The bridge to Stable-Baselines3: its algorithms as they are, observations left on the device."""
