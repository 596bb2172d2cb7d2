"""Speed of training, measured on any machine: sizes, batch sizes and precisions side by side."""
