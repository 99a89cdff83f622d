"""Training loops, run folders, distillation."""
