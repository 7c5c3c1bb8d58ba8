"""What the encoder learns: packed crops, and what teachers say of them."""
