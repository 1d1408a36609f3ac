"""Mathematics: motions, symmetry groups, spherical harmonics, normals. Depends on no camera and no object."""
