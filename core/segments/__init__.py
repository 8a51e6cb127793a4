"""Segments with anchors, embedding spaces and vectors."""
