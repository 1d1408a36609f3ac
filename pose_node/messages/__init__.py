"""ROS messages by their attributes alone, so that recordings are read without ROS: conversion, pairing, transforms."""
