"""One file a metric: (sources, outputs, references) to scores."""
