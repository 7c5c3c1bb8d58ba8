"""From photos to answers: one pipeline, and what verification, gender and submissions make of it."""
