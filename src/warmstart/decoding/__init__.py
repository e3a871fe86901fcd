"""From texts to outputs: a request, the decoder, its outputs."""
