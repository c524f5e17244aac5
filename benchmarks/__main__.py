"""`python -m benchmarks`: measures, prints tables, and writes results.json and the plots."""

from .run import main

main()
