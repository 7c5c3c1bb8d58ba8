"""The faces of a photo: finding them, their landmarks, and the aligned crops cut by them."""
