"""The encoder: from teachers' embeddings of clean crops to a SiameseNet for bad ones."""
