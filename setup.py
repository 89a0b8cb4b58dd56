"""Let tools that know no pyproject.toml find the package."""

from setuptools import setup

setup()
