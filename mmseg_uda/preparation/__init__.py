"""Passes over data before training: conversion, depth banks, pseudo-labels, statistics."""
