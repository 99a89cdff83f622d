"""Hugging Face's picture classifiers as nets of this workbench; needs torch and transformers."""
