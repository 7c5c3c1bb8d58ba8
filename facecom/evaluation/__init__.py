"""How good the answers are: metrics, protocols, operating points, calibration, and rows of results."""
