"""Small policies: int8 weights, pruning, distillation, ONNX. One method a file."""
