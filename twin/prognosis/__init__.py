"""From telemetry to decisions: features, labels, splits, models, and what a prediction is worth."""
