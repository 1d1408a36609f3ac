"""ROS messages by their attributes, so that recordings are read without ROS: conversion, pairing, transforms."""
