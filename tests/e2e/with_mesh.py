#!/usr/bin/python3
"""Runs a command beside a mesh of its own: with_mesh.py COMMAND…; it finds the mesh by OMS_GATEWAY, OMS_GATEWAY_TLS, OMS_CA,
OMS_PROTOS and OMSCTL."""
import os
import subprocess
import sys

from whole_mesh import CTL, ROOT, Mesh

with Mesh() as mesh:
    found = {"OMS_GATEWAY": mesh.address, "OMS_GATEWAY_TLS": mesh.tls_address, "OMS_CA": str(mesh.ca),
             "OMS_PROTOS": str(ROOT / "protos"), "OMSCTL": str(CTL)}
    code = subprocess.run(sys.argv[1:], env=os.environ | mesh.env | found, check=False).returncode
sys.exit(code)
