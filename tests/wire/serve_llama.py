"""Serves a GGUF file with the real llama.cpp HTTP server inside the xllamacpp wheel.

usage: python serve_llama.py MODEL PORT [API_KEY] [CONTEXT]     (PORT 0 picks a free one; prints "listening URL")

CONTEXT is the tokens of all slots together, and then there is one slot whose answers have no other limit.
"""

from __future__ import annotations

import signal
import sys

import xllamacpp

parameters = xllamacpp.CommonParams()
parameters.model.path = sys.argv[1]
parameters.model_alias = {"tiny"}
parameters.hostnames = ["127.0.0.1"]
parameters.port = int(sys.argv[2])
parameters.n_ctx = 512
parameters.n_parallel = 2  # two slots of 256 tokens
parameters.n_predict = 64
parameters.warmup = False
parameters.offline = True
parameters.ui = False
parameters.endpoint_slots = True
parameters.cpuparams.n_threads = 1
parameters.cpuparams_batch.n_threads = 1
if len(sys.argv) > 3:
    parameters.api_keys = [sys.argv[3]]
if len(sys.argv) > 4:
    parameters.n_ctx, parameters.n_parallel, parameters.n_predict = int(sys.argv[4]), 1, -1
server = xllamacpp.Server(parameters)
print("listening", server.listening_address, flush=True)
signal.sigwait({signal.SIGTERM, signal.SIGINT})
