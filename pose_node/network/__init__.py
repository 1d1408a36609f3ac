"""An object's network: its input, the ONNX session, and hypotheses from its outputs."""
