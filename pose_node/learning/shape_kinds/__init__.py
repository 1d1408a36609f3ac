"""Builders of procedural shapes, one file a family. A builder takes a random generator and returns vertices and faces.

A builder's scale, place and handedness are free: ``learning.shapes`` centres, scales, mirrors and adds details.
"""
