"""Passes over data that are made before a training: conversion, depth banks, pseudo-labels."""
