"""Mathematics: motions, symmetry groups, spherical harmonics, normals. Knows nothing of cameras or objects."""
