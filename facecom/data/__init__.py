"""Photos as arrays, folders of photos as tables, who is held back, pairs and balance, audit, archives."""
