"""Decode-time machinery: weights converted for decoding, kernels, compiled steps."""
