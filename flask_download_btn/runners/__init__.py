"""Who carries runs out: this process, in the background or at once."""
