"""Models that other libraries wrote.

Their kinds, files, names of tensors, and what is made of them.
"""
