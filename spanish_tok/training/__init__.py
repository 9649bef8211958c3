"""Span corruption, packing, optimizers, and the loops that pretrain and fine-tune."""
