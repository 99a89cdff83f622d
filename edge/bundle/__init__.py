"""Model bundles: the manifest, loading with checks, what is installed."""
