"""Networks and their losses; weight files of all kinds, read and written."""
