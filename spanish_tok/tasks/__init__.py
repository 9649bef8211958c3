"""Tasks for a text-to-text model: data, questions, scores.

No torch here but in the predictor.
"""
