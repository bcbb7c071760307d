from Cython.Build import cythonize
from setuptools import Extension, setup

setup(name="user", ext_modules=cythonize([Extension("user", ["user.pyx"])]))
