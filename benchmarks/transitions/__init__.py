"""The benchmark of online seven-class facial transitions: streams, measures, baselines, fitting."""
