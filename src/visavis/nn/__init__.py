"""Neural network building blocks and the ONNX Runtime wrapper."""
