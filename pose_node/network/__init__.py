"""What the network says of a segment: its input, the ONNX session, and the poses read from its outputs."""
