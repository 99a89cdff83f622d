"""Commands of ``train`` that stand in modules of their own."""
