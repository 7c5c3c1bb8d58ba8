"""Many faces into people: an unsorted folder, the frames of a video, several photos of one person."""
