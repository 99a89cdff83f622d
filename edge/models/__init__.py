"""Model bundles: the manifest, loading with checks, the runtime, the ensemble."""
